/*
 * generate_register.c - registrations of newer kernels, as probes: what they say to arguments that
 * are right, wrong in one place, or both
 *
 * A probe's `flags` are 32 random bits, out of which probe_register.c makes the argument; its
 * variant says what is wrong. Later probes of the same ring meet what this one changed.
 *
 * Entry:       newer_register_draw()
 * Not here:    the older registrations (generate_probe.c)
 */
#include "generate.h"

void newer_register_draw(struct generator *g, struct probe *probe)
{
	static const uint8_t opcodes[] = {
		ORACLE_REGISTER_RESTRICTIONS,  ORACLE_REGISTER_RESTRICTIONS,
		IORING_REGISTER_ENABLE_RINGS,  ORACLE_REGISTER_SYNC_CANCEL,
		ORACLE_REGISTER_SYNC_CANCEL,   ORACLE_REGISTER_FILE_ALLOC_RANGE,
		ORACLE_REGISTER_CLOCK,         ORACLE_REGISTER_CLONE_BUFFERS,
		ORACLE_REGISTER_CLONE_BUFFERS, ORACLE_REGISTER_RESIZE_RINGS,
		ORACLE_REGISTER_RESIZE_RINGS,  ORACLE_REGISTER_MEM_REGION,
		ORACLE_REGISTER_MEM_REGION,    ORACLE_REGISTER_QUERY,
		IORING_REGISTER_BUFFERS,       IORING_REGISTER_FILES,
	};

	probe->opcode = opcodes[draw_below(g, sizeof(opcodes))];
	probe->flags = (uint32_t)draw(g);
	probe->variant = draw_percent(g, 40) ? (uint8_t)draw_below(g, 9) : 0;
	switch (probe->opcode) {
	case ORACLE_REGISTER_RESTRICTIONS:
		probe->extra = draw_below(g, 9);
		break;
	case IORING_REGISTER_BUFFERS:
	case IORING_REGISTER_FILES:
		probe->extra = 1 + draw_below(g, 8);
		break;
	case IORING_REGISTER_ENABLE_RINGS:
		probe->variant = 7; /* no argument */
		probe->extra = 0;
		break;
	case ORACLE_REGISTER_FILE_ALLOC_RANGE:
	case ORACLE_REGISTER_CLOCK:
	case ORACLE_REGISTER_QUERY:
		probe->extra = draw_percent(g, 90) ? 0 : 1;
		break;
	default:
		probe->extra = draw_percent(g, 90) ? 1 : draw_below(g, 3);
		break;
	}
}
