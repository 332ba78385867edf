/*
 * fuzz_sqe.c - SQEs of any content on a ring of any of the usual kinds
 */
#include <stdint.h>

#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	world_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input in = {bytes, bytes + size};
	struct io_uring_params params;

	world_params(&in, &params, false);
	if (world_begin(8, &params)) {
		while (!input_is_used_up(&in)) {
			u8 step = input_take(&in, u8);

			if (step < 160)
				world_sqe(&in);
			else if (step < 200)
				world_enter(&in);
			else if (step < 232)
				world_other(&in);
			else
				world_register(&in);
		}
	}
	world_end();
	return 0;
}
