/*
 * state_test.c - the moves of request.h's drawing, and no others
 */
#include "request/request.h"

#include <signal.h>

#include "unit.h"

#define STATES (REQUEST_COMPLETE + 1)

#define WAITS "WAIT_POLL WAIT_PAGE WAIT_DEVICE WAIT_TIMER WAIT_FUTEX "

/* Written down a second time, from the drawing: what each state may be followed by. */
static const char *const followers[STATES] = {
	[REQUEST_SUBMITTED] = "ISSUED HELD COMPLETE ",
	[REQUEST_HELD] = "QUEUED ISSUED COMPLETE ",
	[REQUEST_QUEUED] = ("ISSUED COMPLETE HELD " WAITS "PUNTED "),
	[REQUEST_ISSUED] = ("QUEUED COMPLETE " WAITS "PUNTED "),
	[REQUEST_WAIT_PAGE] = "QUEUED ",
	[REQUEST_WAIT_DEVICE] = "QUEUED ",
	[REQUEST_WAIT_POLL] = "QUEUED ",
	[REQUEST_WAIT_TIMER] = "QUEUED ",
	[REQUEST_WAIT_FUTEX] = "QUEUED ",
	[REQUEST_PUNTED] = "QUEUED ",
	[REQUEST_COMPLETE] = "",
};

static bool may_follow(enum request_state from, enum request_state to)
{
	char name[32];

	snprintf(name, sizeof(name), "%s ", request_state_name(to));
	return strstr(followers[from], name) != NULL;
}

static enum request_state from, to;

static int move(void)
{
	struct request req = {.state = (u8)from};

	close(STDERR_FILENO);
	request_set_state(&req, to);
	return req.state == to ? 0 : 1;
}

static void every_move_of_the_drawing_is_allowed(void **state)
{
	u32 moves = 0;

	(void)state;
	for (from = 0; from < STATES; from++) {
		for (to = 0; to < STATES; to++) {
			struct request req = {.state = (u8)from};

			if (!may_follow(from, to))
				continue;
			request_set_state(&req, to);
			assert_int_equal(req.state, to);
			moves++;
		}
	}
	assert_int_equal(moves, 29);
}

static void every_other_move_aborts(void **state)
{
	(void)state;
	for (from = 0; from < STATES; from++)
		for (to = 0; to < STATES; to++)
			if (!may_follow(from, to) && unit_in_child(move) != 256 + SIGABRT)
				fail_msg("%s -> %s does not abort", request_state_name(from),
					 request_state_name(to));
}

static void a_failure_makes_a_skipped_cqe_one_that_is_posted(void **state)
{
	struct request req = {.flags = IOSQE_CQE_SKIP_SUCCESS};

	(void)state;
	request_set_result(&req, 5);
	assert_int_equal(req.flags, IOSQE_CQE_SKIP_SUCCESS);
	request_set_result(&req, -EIO);
	assert_int_equal(req.flags, REQ_FAILED | REQ_SKIP_LINK_CQES);
	assert_int_equal(req.result, -EIO);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(every_move_of_the_drawing_is_allowed),
	cmocka_unit_test(every_other_move_aborts),
	cmocka_unit_test(a_failure_makes_a_skipped_cqe_one_that_is_posted),
};

unit_main(tests)
