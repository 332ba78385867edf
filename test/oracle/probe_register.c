/*
 * probe_register.c - the arguments of newer registrations, and what they write
 *
 * The structures are newer than the headers that this is built with, and are filled field by
 * field; generate_register.c says what a probe's numbers are.
 *
 * Entry:       newer_register_aim(), newer_register_print()
 */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include "execute.h"

#define CLOSED 990 /* a number that is not open */

static void put32(uint8_t *bytes, size_t offset, uint32_t value)
{
	memcpy(bytes + offset, &value, sizeof(value));
}

static void put64(uint8_t *bytes, size_t offset, uint64_t value)
{
	memcpy(bytes + offset, &value, sizeof(value));
}

static uint32_t get32(const uint8_t *bytes, size_t offset)
{
	uint32_t value;

	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

static void aim_cancel(const struct probe *probe, uint8_t *bytes, int ring)
{
	put64(bytes, 0, probe->flags >> 16);
	put32(bytes, 8, probe->variant == 1 ? CLOSED : (uint32_t)ring);
	put32(bytes, 12, (probe->flags & 63) | (probe->variant == 2 ? 64 : 0));
	put64(bytes, 16, UINT64_MAX);
	put64(bytes, 24, UINT64_MAX);
	bytes[32] = (uint8_t)(probe->flags >> 8);
	bytes[33 + probe->flags % 7] = probe->variant == 3;
	put64(bytes, 40, probe->variant == 4);
}

static void aim_clone(const struct probe *probe, uint8_t *bytes, int ring)
{
	const uint32_t bits = probe->flags;

	put32(bytes, 0, probe->variant == 1 ? CLOSED : probe->variant == 2 ? 0 : (uint32_t)ring);
	put32(bytes, 4, (bits & 2) | (probe->variant == 3 ? 5 : 0));
	put32(bytes, 8, bits >> 4 & 7);
	put32(bytes, 12, probe->variant == 4 ? UINT32_MAX - 2 : bits >> 8 & 7);
	put32(bytes, 16, bits >> 12 & 7);
	put32(bytes, 20 + 4 * (bits % 3), probe->variant == 5);
}

static void aim_resize(const struct probe *probe, uint8_t *bytes)
{
	static const uint32_t entries[] = {0, 1, 3, 8, 64, 1000, 32768, 40000};
	static const uint32_t flags[] = {0, IORING_SETUP_CQSIZE,
					 IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
					 IORING_SETUP_CLAMP};

	put32(bytes, 0, entries[probe->flags & 7]);
	put32(bytes, 4, entries[probe->flags >> 3 & 7]);
	put32(bytes, 8, probe->variant == 1 ? IORING_SETUP_SQPOLL : flags[probe->flags >> 6 & 3]);
}

static void aim_region(const struct probe *probe, uint8_t *bytes, const uint8_t *memory)
{
	uint8_t *region = bytes + 64; /* struct io_uring_region_desc */
	const uint32_t bits = probe->flags;

	put64(bytes, 0, probe->variant == 1 ? 16 : (uintptr_t)region);
	put64(bytes, 8, (bits & 1) | (probe->variant == 2 ? 2 : 0));
	put64(bytes, 16, probe->variant == 3);
	put64(region, 0, bits & 2 ? (uintptr_t)memory + (probe->variant == 4 ? 8 : 0) : 0);
	put64(region, 8, (bits >> 4 & 3) * (probe->variant == 5 ? 100 : 4096));
	put32(region, 16, (bits >> 1 & 1) ^ (probe->variant == 6));
	put32(region, 20, bits % 13 == 0);
	put64(region, 24, bits % 17 == 0);
}

static void aim_restrictions(const struct probe *probe, uint8_t *bytes)
{
	for (uint32_t i = 0; i < probe->extra; i++) {
		uint8_t *one = bytes + (size_t)i * 16;
		const uint32_t bits = probe->flags >> (i * 3);

		one[0] = bits % 7 == 6 ? 4 : bits & 3;
		one[2] = (uint8_t)(bits % 5 == 4 ? 250 : bits % 36);
	}
}

bool newer_register_aim(const struct probe *probe, uint8_t *bytes, const uint8_t *memory, int ring)
{
	static const uint32_t clocks[] = {1, 7, 0, 4, 100};

	switch (probe->opcode) {
	case ORACLE_REGISTER_RESTRICTIONS:
		aim_restrictions(probe, bytes);
		return true;
	case ORACLE_REGISTER_SYNC_CANCEL:
		aim_cancel(probe, bytes, ring);
		return true;
	case ORACLE_REGISTER_FILE_ALLOC_RANGE:
		put32(bytes, 0, probe->variant == 1 ? UINT32_MAX : probe->flags & 7);
		put32(bytes, 4, probe->flags >> 3 & 7);
		put64(bytes, 8, probe->variant == 2);
		return true;
	case ORACLE_REGISTER_CLOCK:
		put32(bytes, 0, clocks[probe->flags % 5]);
		put32(bytes, 4 + 4 * (probe->flags % 3), probe->variant == 1);
		return true;
	case ORACLE_REGISTER_CLONE_BUFFERS:
		aim_clone(probe, bytes, ring);
		return true;
	case ORACLE_REGISTER_RESIZE_RINGS:
		aim_resize(probe, bytes);
		return true;
	case ORACLE_REGISTER_MEM_REGION:
		aim_region(probe, bytes, memory);
		return true;
	case ORACLE_REGISTER_QUERY:
		put64(bytes, 8, probe->variant == 1 ? 16 : (uintptr_t)(bytes + 64));
		put32(bytes, 16, probe->variant == 2 ? 100 : 0);
		put32(bytes, 20, probe->flags & 63);
		put32(bytes, 24, probe->variant == 3);
		put32(bytes, 28, probe->variant == 4);
		return true;
	default:
		return false;
	}
}

void newer_register_print(const struct probe *probe, const uint8_t *bytes, FILE *out)
{
	switch (probe->opcode) {
	case ORACLE_REGISTER_RESIZE_RINGS:
		fprintf(out, " sq=%u cq=%u flags=%#x array=%u cqes=%u", get32(bytes, 0),
			get32(bytes, 4), get32(bytes, 8), get32(bytes, 40 + 24),
			get32(bytes, 80 + 20));
		break;
	case ORACLE_REGISTER_MEM_REGION:
		fprintf(out, " mapped at %#x", get32(bytes, 64 + 24));
		break;
	case ORACLE_REGISTER_QUERY:
		fprintf(out, " result=%s size=%u", result_name((int32_t)get32(bytes, 24)),
			get32(bytes, 20));
		break;
	default:
		break;
	}
}
