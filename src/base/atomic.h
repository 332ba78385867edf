/*
 * atomic.h - the GNU atomic built-ins under names that say what they order
 *
 * Every acquire in ringside names, at its place, the release it pairs with.
 */
#ifndef RS_BASE_ATOMIC_H
#define RS_BASE_ATOMIC_H

#define load_relaxed(p)        __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p)        __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define load_full(p)           __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store_relaxed(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define exchange_full(p, v)    __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define exchange_acquire(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define exchange_release(p, v) __atomic_exchange_n((p), (v), __ATOMIC_RELEASE)
#define add_relaxed(p, v)      __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define add_full(p, v)         __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define sub_full(p, v)         __atomic_fetch_sub((p), (v), __ATOMIC_SEQ_CST)
#define or_full(p, v)          __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define and_full(p, v)         __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)

/* If *p is *expected then *p becomes v; else *expected becomes *p. Returns whether *p was
 * changed. */
#define compare_exchange(p, expected, v)                                                           \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#define compare_exchange_acquire(p, expected, v)                                                   \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define compare_exchange_release(p, expected, v)                                                   \
	__atomic_compare_exchange_n((p), (expected), (v), true, __ATOMIC_RELEASE, __ATOMIC_RELAXED)

/*
 * barrier_full() orders every earlier access before every later one, in all threads, a store before
 * a load as well; barrier_acquire() every earlier load before every later access.
 */
#if defined(__SANITIZE_THREAD__)
/* ThreadSanitizer knows no fences; an exchange orders as much. */
#define barrier_full()    ((void)__atomic_exchange_n(&(unsigned){0}, 1u, __ATOMIC_SEQ_CST))
#define barrier_acquire() barrier_full()
#else
#define barrier_full()    __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define barrier_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#endif

/* Orders nothing for the processor: for the frequent side of an asymmetric barrier
 * (host/membarrier.h). */
#define barrier_compiler() __asm__ volatile("" ::: "memory")

#if defined(__x86_64__)
#define cpu_relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define cpu_relax() __asm__ volatile("yield" ::: "memory")
#else
#error "ringside runs on x86-64 and aarch64"
#endif

#endif
