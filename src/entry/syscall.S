/*
 * syscall.S - libc's syscall(), with a look at the number
 *
 *	long syscall(long number, ...);
 *
 * Numbers whose bit is set in entry_call_bits go on to entry_call() (calls.c),
 * which takes the same arguments in the same places. All others are made here,
 * with libc's convention: -1 and errno. Nothing is put on the stack before the
 * call, so that one that returns on another stack (clone) comes back to what
 * that stack holds, as from libc's; and a vfork() child, which returns first
 * and may overwrite the return address that its parent still needs, finds it
 * kept in a register.
 */
#include <asm/unistd.h>

	.text
	.hidden entry_call
	.hidden entry_call_bits
	.globl syscall
	.type syscall, %function

#if defined(__x86_64__)

#define CALL_BITS_END 512

	.balign 32
syscall:
	.cfi_startproc
	cmpq	$CALL_BITS_END, %rdi
	jae	1f
	leaq	entry_call_bits(%rip), %rax
	btq	%rdi, (%rax)
	jc	entry_call
	cmpl	$__NR_vfork, %edi
	je	3f
1:	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
	movq	%r8, %r10
	movq	%r9, %r8
	movq	8(%rsp), %r9
	syscall
	cmpq	$-4095, %rax
	jae	2f
	ret
2:	negl	%eax
	pushq	%rax
	.cfi_adjust_cfa_offset 8
	call	__errno_location@PLT
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	movl	%ecx, (%rax)
	movq	$-1, %rax
	ret

	/* vfork(): its parent returns to %rdx, whatever the child left on the stack. */
3:	popq	%rdx
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rdx
	movl	$__NR_vfork, %eax
	syscall
	pushq	%rdx
	.cfi_adjust_cfa_offset 8
	.cfi_offset %rip, -8
	cmpq	$-4095, %rax
	jae	2b
	ret
	.cfi_endproc

#elif defined(__aarch64__)

#define CALL_BITS_END 512

	.balign 32
syscall:
	.cfi_startproc
	cmp	x0, #CALL_BITS_END
	b.hs	1f
	adrp	x9, entry_call_bits
	add	x9, x9, :lo12:entry_call_bits
	lsr	x10, x0, #6
	ldr	x10, [x9, x10, lsl #3]
	lsr	x10, x10, x0
	tbnz	x10, #0, 3f
1:	mov	x8, x0
	mov	x0, x1
	mov	x1, x2
	mov	x2, x3
	mov	x3, x4
	mov	x4, x5
	mov	x5, x6
	svc	#0
	cmn	x0, #4095
	b.cs	2f
	ret
2:	stp	x29, x30, [sp, #-32]!
	.cfi_adjust_cfa_offset 32
	.cfi_offset x29, -32
	.cfi_offset x30, -24
	neg	w0, w0
	str	x0, [sp, #16]
	bl	__errno_location
	ldr	x1, [sp, #16]
	str	w1, [x0]
	mov	x0, #-1
	ldp	x29, x30, [sp], #32
	.cfi_restore x29
	.cfi_restore x30
	.cfi_adjust_cfa_offset -32
	ret
3:	b	entry_call
	.cfi_endproc

#endif

	.size syscall, . - syscall
	.section .note.GNU-stack, "", %progbits
