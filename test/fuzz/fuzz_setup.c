/*
 * fuzz_setup.c - rings set up with parameters of any content, and a few requests on them
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
	u8 kind = input_take(&in, u8);
	u32 entries = kind & 128 ? input_take(&in, u32) : kind % 64u;
	struct io_uring_params params;

	world_params(&in, &params, kind & 64);
	if (world_begin(entries, &params)) {
		while (!input_is_used_up(&in)) {
			u8 step = input_take(&in, u8);

			if (step < 96)
				world_sqe(&in);
			else if (step < 192)
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
