/*
 * generate_run.c - plain writes that stand side by side in a batch, and reads of what they wrote
 *
 * Nothing links them: each is done at once, for nobody waits on the channel and there is
 * room, so they come in the order of the queue. An implementation may make several by one call.
 *
 * Entry:       run_draw()
 */
#include "generate.h"

static void write_draw(struct generator *g, struct channel *c, int len)
{
	struct op *op = op_add(g, IORING_OP_WRITE);

	op_set_fd(op, c->writer);
	op->fills = true;
	op->sqe.len = (uint32_t)len;
	op->addr.kind = REF_BUF;
	op->off.v = draw_percent(g, 50) ? (uint64_t)-1 : 0;
	channel_put(c, len);
}

static void read_draw(struct generator *g, struct channel *c, int len)
{
	struct op *op = op_add(g, IORING_OP_READ);

	op_set_fd(op, c->reader);
	op->capture = CAPTURE_DATA;
	op->sqe.len = (uint32_t)len;
	op->addr.kind = REF_BUF;
	op->off.v = draw_percent(g, 50) ? (uint64_t)-1 : 0;
	channel_take(c, len);
}

bool run_draw(struct generator *g)
{
	const int channel = draw_channel(g);
	struct channel *c = channel_of(g, channel);
	int writes = 2 + (int)draw_below(g, 9), reads = (int)draw_below(g, 10);
	/* As a batch has them: mostly of one size. */
	int len = 1 + (int)draw_below(g, 1100);

	if (channel < 0 || g->drain_open || c->tcp || !channel_has_room(c) ||
	    (c->kind != CHANNEL_PIPE && c->kind != CHANNEL_STREAM) || waiting_on(g, channel, -1))
		return false;
	c->touched = g->batch;
	for (; writes > 0 && g->room > 0 && channel_has_room(c); writes--) {
		write_draw(g, c, len);
		if (draw_percent(g, 20))
			len = 1 + (int)draw_below(g, 1100);
	}
	for (; reads > 0 && g->room > 0 && c->bytes > 0; reads--)
		read_draw(g, c, draw_percent(g, 80) ? len : 1 + (int)draw_below(g, 2000));
	return true;
}
