/*
 * sigaction_return.S - where a handler that we installed returns to
 *
 * Needed on x86-64 only; aarch64 has it in the vDSO. Unwinders and debuggers
 * know a signal frame by exactly these instructions, where (as here) no unwind
 * table covers them; the nop keeps "the byte before" out of another function.
 */
#if defined(__x86_64__)
	.text
	nop
	.globl sigaction_restorer
	.hidden sigaction_restorer
	.type sigaction_restorer, @function
sigaction_restorer:
	movq	$15, %rax
	syscall
	.size sigaction_restorer, . - sigaction_restorer
#endif
	.section .note.GNU-stack, "", %progbits
