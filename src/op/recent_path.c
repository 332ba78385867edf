/*
 * recent_path.c - paths whose look-up lately asked nobody but the kernel's memory
 *
 * Locks:  none; an entry is one word, and whoever stores last is remembered
 */
#include "op/recent_path.h"

#include <string.h>

#include "base/atomic.h"

#define ENTRIES   4096u
#define TIME_BITS 24
#define TIME_MASK ((1ull << TIME_BITS) - 1)

/* The upper bits of a key, and the time in units, which wraps after weeks. 0: never used. */
static u64 entries[ENTRIES]; /* (a) */

static u64 mix(u64 hash, u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

u64 recent_path_key(int dir, u32 flags, const char *path)
{
	u64 hash = mix((u32)dir, flags), word;
	size_t left = strlen(path);

	for (; left >= sizeof(word); left -= sizeof(word), path += sizeof(word)) {
		memcpy(&word, path, sizeof(word));
		hash = mix(hash, word);
	}
	word = left;
	while (left-- > 0)
		word = word << 8 | (u8)path[left];
	return mix(hash, word);
}

static u64 *entry_of(u64 key)
{
	return &entries[key % ENTRIES];
}

static u64 units_of(u64 now)
{
	return now / RECENT_PATH_UNIT_NS & TIME_MASK;
}

void recent_path_add(u64 key, u64 now)
{
	store_relaxed(entry_of(key), (key & ~TIME_MASK) | units_of(now));
}

bool recent_path_has(u64 key, u64 now)
{
	u64 entry = load_relaxed(entry_of(key));

	if ((entry ^ key) & ~TIME_MASK || entry == 0)
		return false;
	return ((units_of(now) - entry) & TIME_MASK) <= RECENT_PATH_UNITS;
}
