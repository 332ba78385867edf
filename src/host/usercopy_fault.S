/*
 * usercopy_fault.S - the only instructions of ringside that touch untrusted addresses
 *
 * Each routine is a leaf without a stack frame, so that one fixup serves them
 * all: wherever between usercopy_fault_begin and usercopy_fault_end an access
 * faults, the handler of usercopy.c continues at usercopy_fault_fixup, which
 * returns -EFAULT to the routine's caller.
 *
 *	long usercopy_bytes(void *dst, const void *src, size_t size);
 *	long usercopy_string(char *dst, const char *src, size_t size);
 *	long usercopy_touch(const void *addr, size_t size, int writable);
 *
 * usercopy_string() returns the length without the NUL, or -ENAMETOOLONG.
 * usercopy_touch() reads a byte of each page, or exchanges it for itself.
 */
#include <asm/errno.h>

#define PAGE_SHIFT_SIZE 4096

	.text

#define ROUTINE(name)								\
	.globl name;								\
	.hidden name;								\
	.type name, %function;							\
	.balign 16;								\
name:

#define LABEL(name)								\
	.globl name;								\
	.hidden name;								\
name:

LABEL(usercopy_fault_begin)

#if defined(__x86_64__)

ROUTINE(usercopy_bytes)
	cmpq	$256, %rdx
	jae	5f
8:	movq	%rdx, %rcx
	shrq	$3, %rcx
	jz	1f
0:	movq	(%rsi), %rax
	movq	%rax, (%rdi)
	addq	$8, %rsi
	addq	$8, %rdi
	decq	%rcx
	jnz	0b
	/* Not byte by byte: who loads what so many stores wrote waits until all of them,
	 * and those before them, have left the store buffer. */
1:	testb	$4, %dl
	jz	4f
	movl	(%rsi), %eax
	movl	%eax, (%rdi)
	addq	$4, %rsi
	addq	$4, %rdi
4:	testb	$2, %dl
	jz	7f
	movw	(%rsi), %ax
	movw	%ax, (%rdi)
	addq	$2, %rsi
	addq	$2, %rdi
7:	testb	$1, %dl
	jz	3f
	movb	(%rsi), %al
	movb	%al, (%rdi)
	jmp	3f
5:	/* A string instruction takes longer to start than so few bytes take to copy. */
	cmpq	$2048, %rdx
	jae	2f
	cmpb	$0, usercopy_has_avx(%rip)
	je	2f
6:	vmovdqu	(%rsi), %ymm0
	vmovdqu	32(%rsi), %ymm1
	vmovdqu	64(%rsi), %ymm2
	vmovdqu	96(%rsi), %ymm3
	vmovdqu	%ymm0, (%rdi)
	vmovdqu	%ymm1, 32(%rdi)
	vmovdqu	%ymm2, 64(%rdi)
	vmovdqu	%ymm3, 96(%rdi)
	subq	$-128, %rsi
	subq	$-128, %rdi
	addq	$-128, %rdx
	cmpq	$128, %rdx
	jae	6b
	vzeroupper
	jmp	8b
2:	movq	%rdx, %rcx
	cld
	rep movsb
3:	xorl	%eax, %eax
	ret
	.size usercopy_bytes, . - usercopy_bytes

ROUTINE(usercopy_string)
	xorl	%eax, %eax
0:	cmpq	%rdx, %rax
	jae	1f
	movb	(%rsi,%rax), %cl
	movb	%cl, (%rdi,%rax)
	testb	%cl, %cl
	jz	2f
	incq	%rax
	jmp	0b
1:	movq	$-ENAMETOOLONG, %rax
2:	ret
	.size usercopy_string, . - usercopy_string

ROUTINE(usercopy_touch)
	xorl	%eax, %eax
	testq	%rsi, %rsi
	jz	3f
	leaq	-1(%rdi,%rsi), %rcx
	andq	$-PAGE_SHIFT_SIZE, %rcx
0:	testl	%edx, %edx
	jz	1f
	lock orb $0, (%rdi)
	jmp	2f
1:	testb	%al, (%rdi)
2:	andq	$-PAGE_SHIFT_SIZE, %rdi
	addq	$PAGE_SHIFT_SIZE, %rdi
	cmpq	%rcx, %rdi
	jbe	0b
3:	ret
	.size usercopy_touch, . - usercopy_touch

LABEL(usercopy_fault_end)

LABEL(usercopy_fault_fixup)
	movq	$-EFAULT, %rax
	ret

#elif defined(__aarch64__)

ROUTINE(usercopy_bytes)
0:	cmp	x2, #16
	b.lo	1f
	ldp	x3, x4, [x1], #16
	stp	x3, x4, [x0], #16
	sub	x2, x2, #16
	b	0b
1:	tbz	x2, #3, 2f /* as above */
	ldr	x3, [x1], #8
	str	x3, [x0], #8
2:	tbz	x2, #2, 3f
	ldr	w3, [x1], #4
	str	w3, [x0], #4
3:	tbz	x2, #1, 4f
	ldrh	w3, [x1], #2
	strh	w3, [x0], #2
4:	tbz	x2, #0, 5f
	ldrb	w3, [x1]
	strb	w3, [x0]
5:	mov	x0, #0
	ret
	.size usercopy_bytes, . - usercopy_bytes

ROUTINE(usercopy_string)
	mov	x3, #0
0:	cmp	x3, x2
	b.hs	1f
	ldrb	w4, [x1, x3]
	strb	w4, [x0, x3]
	cbz	w4, 2f
	add	x3, x3, #1
	b	0b
1:	mov	x3, #-ENAMETOOLONG
2:	mov	x0, x3
	ret
	.size usercopy_string, . - usercopy_string

ROUTINE(usercopy_touch)
	cbz	x1, 4f
	add	x3, x0, x1
	sub	x3, x3, #1
0:	cbz	w2, 1f
5:	ldxrb	w4, [x0]
	stxrb	w5, w4, [x0]
	cbnz	w5, 5b
	b	2f
1:	ldrb	w4, [x0]
2:	and	x0, x0, #-PAGE_SHIFT_SIZE
	add	x0, x0, #PAGE_SHIFT_SIZE
	cmp	x0, x3
	b.ls	0b
4:	mov	x0, #0
	ret
	.size usercopy_touch, . - usercopy_touch

LABEL(usercopy_fault_end)

LABEL(usercopy_fault_fixup)
	mov	x0, #-EFAULT
	ret

#endif

	.section .note.GNU-stack, "", %progbits
