/*
 * generate_probe.c - arguments for the three calls themselves
 *
 * Entry:       probe_draw()
 * Not here:    how a variant is laid out in memory (probe.c)
 */
#include "generate.h"

static void setup_draw(struct generator *g, struct probe *probe)
{
	static const uint32_t entries[] = {0,  1,  2,    3,    5,     8,     31,
					   32, 33, 1000, 4096, 32768, 32769, 0xffffffff};
	static const uint32_t flags[] = {
		IORING_SETUP_CLAMP,
		IORING_SETUP_CQSIZE,
		IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_SQ_AFF,
		IORING_SETUP_SQPOLL,
		IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF,
		IORING_SETUP_SQPOLL | IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_SQPOLL | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_ATTACH_WQ,
		IORING_SETUP_SQE128,
		IORING_SETUP_CQE32,
		IORING_SETUP_SQE128 | IORING_SETUP_CQE32,
		IORING_SETUP_NO_SQARRAY,
		IORING_SETUP_REGISTERED_FD_ONLY,
		IORING_SETUP_R_DISABLED,
		IORING_SETUP_SUBMIT_ALL,
		1U << 31,
		1U << 25,
	};

	probe->opcode = entries[draw_below(g, sizeof(entries) / sizeof(entries[0]))];
	if (draw_percent(g, 70))
		probe->flags = flags[draw_below(g, sizeof(flags) / sizeof(flags[0]))];
	/* Big rings cost big memory; one in a while is enough. */
	if (probe->opcode > 1000 && draw_percent(g, 80))
		probe->opcode = 7;
	if (draw_percent(g, 60))
		probe->extra = entries[draw_below(g, sizeof(entries) / sizeof(entries[0]) - 4)];
	if (draw_percent(g, 20))
		probe->variant = (uint8_t)(1 + draw_below(g, 4));
}

static void register_draw(struct generator *g, struct probe *probe)
{
	static const uint8_t opcodes[] = {
		IORING_REGISTER_BUFFERS,
		IORING_REGISTER_BUFFERS,
		IORING_UNREGISTER_BUFFERS,
		IORING_REGISTER_FILES,
		IORING_REGISTER_FILES,
		IORING_UNREGISTER_FILES,
		IORING_REGISTER_EVENTFD,
		IORING_REGISTER_EVENTFD,
		IORING_UNREGISTER_EVENTFD,
		IORING_REGISTER_FILES_UPDATE,
		IORING_REGISTER_FILES_UPDATE,
		IORING_REGISTER_EVENTFD_ASYNC,
		IORING_REGISTER_PROBE,
		IORING_REGISTER_ENABLE_RINGS,
		IORING_REGISTER_FILES2,
		IORING_REGISTER_BUFFERS2,
		IORING_REGISTER_BUFFERS_UPDATE,
		IORING_REGISTER_BUFFERS_UPDATE,
		IORING_REGISTER_IOWQ_MAX_WORKERS,
		IORING_REGISTER_IOWQ_MAX_WORKERS,
		IORING_UNREGISTER_RING_FDS,
	};
	static const uint32_t counts[] = {0, 1, 2, 8, 64, 65};

	probe->opcode = opcodes[draw_below(g, sizeof(opcodes))];
	if (draw_percent(g, 5))
		probe->opcode = 200 + draw_below(g, 1000);
	probe->extra = counts[draw_below(g, sizeof(counts) / sizeof(counts[0]))];
	if (draw_percent(g, 40))
		probe->variant = (uint8_t)draw_below(g, 9);
	probe->flags = draw_below(g, 6);
	switch (probe->opcode) {
	case IORING_REGISTER_BUFFERS:
		if (probe->extra > 8)
			probe->extra = 8;
		break;
	case IORING_REGISTER_FILES_UPDATE:
		if (probe->extra > 2)
			probe->extra = 2;
		break;
	case IORING_REGISTER_FILES2:
	case IORING_REGISTER_BUFFERS2:
	case IORING_REGISTER_BUFFERS_UPDATE:
		if (draw_percent(g, 85))
			probe->extra = 32;
		break;
	case IORING_REGISTER_IOWQ_MAX_WORKERS:
	case IORING_REGISTER_EVENTFD:
		if (draw_percent(g, 60))
			probe->extra = probe->opcode == IORING_REGISTER_EVENTFD ? 1 : 2;
		break;
	default:
		break;
	}
}

static void enter_draw(struct generator *g, struct probe *probe)
{
	static const uint32_t flags[] = {
		0,
		IORING_ENTER_GETEVENTS,
		IORING_ENTER_SQ_WAKEUP,
		IORING_ENTER_SQ_WAIT,
		IORING_ENTER_EXT_ARG,
		IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
		IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
		IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
		IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | IORING_ENTER_ABS_TIMER,
		IORING_ENTER_ABS_TIMER,
		IORING_ENTER_REGISTERED_RING,
		1U << 20,
		1U << 31,
	};

	probe->flags = flags[draw_below(g, sizeof(flags) / sizeof(flags[0]))];
	probe->opcode = draw_percent(g, 20) ? draw_below(g, 9) : 0;
	/* Only a wait with a timeout ends by itself. */
	if (probe->flags & IORING_ENTER_EXT_ARG)
		probe->extra = draw_below(g, 3);
	if (draw_percent(g, 50))
		probe->variant = (uint8_t)draw_below(g, 11);
	/* For a moment before its clock began (probe.c) the kernel waits for ever. */
	if (probe->variant == 7)
		probe->flags &= ~IORING_ENTER_ABS_TIMER;
}

void probe_draw(struct generator *g, struct probe *probe)
{
	const uint32_t pick = draw_below(g, 100);

	static const uint32_t rings[] = {
		0,
		0,
		IORING_SETUP_R_DISABLED,
		IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_R_DISABLED,
	};

	probe->fresh = draw_percent(g, 50);
	probe->ring_flags = rings[draw_below(g, sizeof(rings) / sizeof(rings[0]))];
	if (pick < 35) {
		probe->kind = ACTION_SETUP;
		setup_draw(g, probe);
	} else if (pick < 75) {
		probe->kind = ACTION_REGISTER;
		if (draw_percent(g, 50))
			newer_register_draw(g, probe);
		else
			register_draw(g, probe);
	} else {
		probe->kind = ACTION_ENTER;
		enter_draw(g, probe);
	}
}
