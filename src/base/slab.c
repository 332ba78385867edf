/*
 * slab.c - objects of one size: chunks
 *
 * The first chunk is small, so that a ring that never has many requests stays
 * small; later ones are larger, so that a million requests are few mappings.
 */
#include "base/slab.h"

#include <errno.h>

#include "base/assert.h"
#include "base/pages.h"

#define FIRST_CHUNK (16u << 10) /* bytes */
#define LATER_CHUNK (256u << 10)

struct slab_chunk {
	struct slab_chunk *next;
	size_t size; /* bytes, header included */
};

#define CHUNK_HEADER 64 /* keeps objects cache-line aligned where their size is */
_Static_assert(sizeof(struct slab_chunk) <= CHUNK_HEADER, "the chunk's header fits its place");

void slab_init(struct slab *slab, u32 object_size, u32 limit)
{
	rs_assert(object_size >= sizeof(struct slab_object) && object_size % 16 == 0);
	*slab = (struct slab){.object_size = object_size, .limit = limit};
}

void slab_destroy(struct slab *slab)
{
	rs_assert(slab->used == 0);
	while (slab->chunks) {
		struct slab_chunk *chunk = slab->chunks;

		slab->chunks = chunk->next;
		pages_free(chunk, chunk->size);
	}
	slab->free = NULL;
	slab->total = 0;
}

int slab_grow(struct slab *slab)
{
	bool is_large = slab->object_size > FIRST_CHUNK / 4;
	size_t size = slab->chunks || is_large ? LATER_CHUNK : FIRST_CHUNK;
	u32 count = (u32)((size - CHUNK_HEADER) / slab->object_size);
	struct slab_chunk *chunk;
	char *first;

	count = min_of(count, slab->limit - slab->total);
	if (count == 0)
		return -ENOMEM;
	chunk = pages_alloc(size);
	if (chunk == NULL)
		return -ENOMEM;
	chunk->next = slab->chunks;
	chunk->size = size;
	slab->chunks = chunk;
	first = (char *)chunk + CHUNK_HEADER;
	for (u32 i = count; i-- > 0;) {
		struct slab_object *object = (void *)(first + (size_t)i * slab->object_size);

		object->next = slab->free;
		slab->free = object;
	}
	slab->total += count;
	return 0;
}

size_t slab_bytes(const struct slab *slab)
{
	size_t bytes = 0;

	for (const struct slab_chunk *chunk = slab->chunks; chunk; chunk = chunk->next)
		bytes += chunk->size;
	return bytes;
}
