/*
 * slab.h - objects of one size, from whole chunks of pages
 *
 * slab_alloc() and slab_free() are a few instructions: a LIFO list, so the
 * object that was used last, and is warm in the cache, is used next. Chunks go
 * back to the kernel when the slab is destroyed. The owner serialises calls.
 */
#ifndef RS_BASE_SLAB_H
#define RS_BASE_SLAB_H

#include "base/types.h"

struct slab_object {
	struct slab_object *next;
};

struct slab {
	struct slab_object *free;
	struct slab_chunk *chunks;
	u32 object_size; /* (c) bytes, a multiple of 16 */
	u32 used;        /* objects handed out */
	u32 total;       /* objects in all chunks */
	u32 limit;       /* (c) most objects that may exist */
};

void slab_init(struct slab *slab, u32 object_size, u32 limit);

/* Gives every chunk back. No object may be in use: asserted. */
void slab_destroy(struct slab *slab);

/* Adds a chunk of free objects. 0, or -ENOMEM (no memory, or the limit is reached). */
int slab_grow(struct slab *slab);

/* Bytes that the slab holds from the kernel. */
size_t slab_bytes(const struct slab *slab);

/* An object with undefined contents, or NULL. */
static inline void *slab_alloc(struct slab *slab)
{
	struct slab_object *object = slab->free;

	if (unlikely(object == NULL)) {
		if (slab_grow(slab))
			return NULL;
		object = slab->free;
	}
	slab->free = object->next;
	slab->used++;
	return object;
}

static inline void slab_free(struct slab *slab, void *ptr)
{
	struct slab_object *object = ptr;

	object->next = slab->free;
	slab->free = object;
	slab->used--;
}

#endif
