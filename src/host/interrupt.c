/*
 * interrupt.c - one thread of ours makes another's blocking system call return
 *
 * The signal is a realtime one, far from both ends of their range: the C
 * library uses the first of them, programs count up from SIGRTMIN, Java and
 * valgrind take the last ones. It is the first without a handler going down
 * from SIGRTMAX - 5, found when it is needed. If the program installs a handler
 * for it later, we send it no more and choose another.
 *
 * Where a signal of that number comes that is not ours, the program gets it as
 * if we were not there: a thread of ours blocks it and gives it back to the
 * process; in the program's threads, where only the default action can be
 * meant, the default action follows.
 *
 * The kernel:  io-wq has TIF_NOTIFY_SIGNAL, an interrupt that is no signal
 * Not here:    whose work is interrupted (request/punt.c)
 */
#include "host/interrupt.h"

#include <signal.h>
#include <ucontext.h>

#include "base/atomic.h"
#include "host/kernel.h"
#include "host/sigaction.h"

/* Entry, then the range in which the handler turns the thread round, then where to. */
long interrupt_gate(const u32 *is_requested, long nr, const long args[6]);
extern const char interrupt_gate_begin[], interrupt_gate_end[], interrupt_gate_cancel[];

#if defined(__x86_64__)

__asm__(".pushsection .text\n"
	".globl interrupt_gate, interrupt_gate_begin, interrupt_gate_end, interrupt_gate_cancel\n"
	".hidden interrupt_gate, interrupt_gate_begin, interrupt_gate_end, interrupt_gate_cancel\n"
	".type interrupt_gate, @function\n"
	"interrupt_gate:\n"
	"	mov %rsi, %rax\n"
	"	mov %rdi, %r11\n"
	"	mov %rdx, %rcx\n"
	"	mov 0(%rcx), %rdi\n"
	"	mov 8(%rcx), %rsi\n"
	"	mov 16(%rcx), %rdx\n"
	"	mov 24(%rcx), %r10\n"
	"	mov 32(%rcx), %r8\n"
	"	mov 40(%rcx), %r9\n"
	"interrupt_gate_begin:\n"
	"	cmpl $0, (%r11)\n"
	"	jne interrupt_gate_cancel\n"
	"	syscall\n"
	"interrupt_gate_end:\n"
	"	ret\n"
	"interrupt_gate_cancel:\n"
	"	mov $-4, %rax\n" /* -EINTR */
	"	ret\n"
	".size interrupt_gate, . - interrupt_gate\n"
	".popsection\n");

#define PROGRAM_COUNTER(context) ((context)->uc_mcontext.gregs[REG_RIP])

#elif defined(__aarch64__)

__asm__(".pushsection .text\n"
	".globl interrupt_gate, interrupt_gate_begin, interrupt_gate_end, interrupt_gate_cancel\n"
	".hidden interrupt_gate, interrupt_gate_begin, interrupt_gate_end, interrupt_gate_cancel\n"
	".type interrupt_gate, %function\n"
	"interrupt_gate:\n"
	"	mov x8, x1\n"
	"	mov x9, x0\n"
	"	mov x10, x2\n"
	"	ldp x0, x1, [x10]\n"
	"	ldp x2, x3, [x10, #16]\n"
	"	ldp x4, x5, [x10, #32]\n"
	"interrupt_gate_begin:\n"
	"	ldr w10, [x9]\n"
	"	cbnz w10, interrupt_gate_cancel\n"
	"	svc #0\n"
	"interrupt_gate_end:\n"
	"	ret\n"
	"interrupt_gate_cancel:\n"
	"	mov x0, #-4\n" /* -EINTR */
	"	ret\n"
	".size interrupt_gate, . - interrupt_gate\n"
	".popsection\n");

#define PROGRAM_COUNTER(context) ((context)->uc_mcontext.pc)

#endif

static int chosen_signal; /* (a) 0: none yet; for all threads, whatever lock they hold */

/* This thread's, for the handler; atomic, for it interrupts what writes them. */
static __thread struct interrupt *interrupt_of_thread __attribute__((tls_model("initial-exec")));
static __thread bool is_thread_in_call __attribute__((tls_model("initial-exec")));

/* A signal with our number that another sent, in whatever thread the kernel chose for it. */
static void give_back(int signal, siginfo_t *info, ucontext_t *context)
{
	static const struct kernel_sigaction by_default = {.handler = (u64)SIG_DFL};
	long process = host_call(SYS_getpid);

	if (interrupt_of_thread) {
		/* uc_sigmask begins with the kernel's set, and becomes the mask on return. Closed
		 * until the next work: open, this thread would be chosen for it again. */
		*(u64 *)&context->uc_sigmask |= SIGNAL_BIT(signal);
		store_relaxed(&interrupt_of_thread->is_closed, 1);
	} else {
		sigaction_set(signal, &by_default, NULL);
	}
	host_call(SYS_rt_sigqueueinfo, process, signal, info);
}

/*
 * The thread is in a call, but we have come on top of another handler, one of
 * the C library's, which will go back to the call and may begin it again. Our
 * signal is put off until then: that handler's return opens it again. If it was
 * the call that had just returned, interrupt_settle() does.
 */
static void put_off(const struct interrupt *self, int signal, siginfo_t *info, ucontext_t *context)
{
	*(u64 *)&context->uc_sigmask |= SIGNAL_BIT(signal);
	host_call(SYS_rt_tgsigqueueinfo, host_call(SYS_getpid), self->thread, signal, info);
}

static void interrupt_signalled(int signal, siginfo_t *info, void *ucontext)
{
	struct interrupt *self = interrupt_of_thread;
	ucontext_t *context = ucontext;
	u64 pc = (u64)PROGRAM_COUNTER(context);

	if (info->si_code != SI_QUEUE || self == NULL || info->si_value.sival_ptr != self) {
		give_back(signal, info, context);
		return;
	}
	if (pc >= (u64)interrupt_gate_begin && pc < (u64)interrupt_gate_end) {
		PROGRAM_COUNTER(context) =
			(__typeof__(PROGRAM_COUNTER(context)))((u64)interrupt_gate_cancel);
	} else if (load_relaxed(&is_thread_in_call)) {
		put_off(self, signal, info, context);
		return;
	}
	store_release(&self->is_taken, 1);
}

/* Whose handler the signal has: ours (0), nobody's (-ENOENT), the program's (-EBUSY). */
static int signal_owner(int signal)
{
	struct kernel_sigaction action = {0};

	if (sigaction_raw(signal, NULL, &action) < 0)
		return -EBUSY;
	if (action.handler == (u64)interrupt_signalled)
		return 0;
	return action.handler == (u64)SIG_DFL ? -ENOENT : -EBUSY;
}

static void signal_choose(void)
{
	/*
	 * SA_RESTART sends an interrupted call back to the gate's last instruction, from where
	 * the handler turns it to the exit; a signal that was not ours leaves the call as it was.
	 */
	const struct kernel_sigaction action = {.handler = (u64)interrupt_signalled,
						.flags = SA_SIGINFO | SA_RESTART};
	int chosen = load_relaxed(&chosen_signal);

	if (chosen && signal_owner(chosen) == 0)
		return;
	chosen = 0;
	/* Another thread may do the same now: either takes what the other one has made ours. */
	for (int signal = SIGRTMAX - 5; signal > SIGRTMIN && !chosen; signal--) {
		int err = signal_owner(signal);

		if (err == -ENOENT)
			err = sigaction_set(signal, &action, NULL);
		if (err == 0)
			chosen = signal;
	}
	store_relaxed(&chosen_signal, chosen);
}

static void thread_unblock(struct interrupt *self)
{
	u64 mask = SIGNAL_BIT(self->signal);

	store_relaxed(&self->is_closed, 0);
	sigmask_set(SIG_UNBLOCK, &mask, NULL);
}

static void thread_block(struct interrupt *self)
{
	u64 mask = SIGNAL_BIT(self->signal);

	sigmask_set(SIG_BLOCK, &mask, NULL);
}

void interrupt_open(struct interrupt *self)
{
	int chosen;

	if (interrupt_of_thread != self) {
		store_relaxed(&self->thread, (u32)host_call(SYS_gettid));
		interrupt_of_thread = self;
	}
	store_relaxed(&self->is_requested, 0);
	store_relaxed(&self->is_taken, 0);
	self->was_sent = false;
	if (load_relaxed(&chosen_signal) == 0)
		signal_choose();
	chosen = load_relaxed(&chosen_signal);
	if (self->signal == chosen && !load_relaxed(&self->is_closed))
		return;
	if (self->signal)
		thread_block(self);
	self->signal = chosen;
	if (self->signal)
		thread_unblock(self);
}

void interrupt_close(struct interrupt *self)
{
	if (self->signal)
		thread_block(self);
	interrupt_of_thread = NULL;
}

bool interrupt_send(struct interrupt *target)
{
	siginfo_t info = {0};
	long process = host_call(SYS_getpid);

	store_release(&target->is_requested, 1);
	if (target->was_sent)
		return true;
	if (target->signal == 0 || signal_owner(target->signal) != 0) {
		signal_choose();
		return false;
	}
	info.si_signo = target->signal;
	info.si_code = SI_QUEUE;
	info.si_pid = (pid_t)process;
	info.si_value.sival_ptr = target;
	target->was_sent = host_call(SYS_rt_tgsigqueueinfo, process, target->thread, target->signal,
				     &info) == 0;
	return target->was_sent;
}

void interrupt_settle(struct interrupt *self)
{
	/* What was sent is pending here by now, and is handled when a system call returns. */
	while (self->was_sent && !load_acquire(&self->is_taken)) /* pairs with the handler */
		thread_unblock(self);
}

long interrupt_call(const struct interrupt *self, long nr, const long args[6])
{
	long result;

	store_relaxed(&is_thread_in_call, true);
	result = interrupt_gate(&self->is_requested, nr, args);
	store_relaxed(&is_thread_in_call, false);
	return result;
}
