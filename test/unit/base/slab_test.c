/*
 * slab_test.c - objects of one size
 */
#include "base/slab.h"

#include <errno.h>

#include "unit.h"

#define OBJECT 192
#define LIMIT  5000

static void objects_are_distinct_and_hold_their_contents(void **state)
{
	static unsigned char *objects[LIMIT];
	struct slab slab;

	(void)state;
	slab_init(&slab, OBJECT, LIMIT);
	for (int i = 0; i < LIMIT; i++) {
		objects[i] = slab_alloc(&slab);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % 16, 0);
		memset(objects[i], i % 251, OBJECT);
	}
	for (int i = 0; i < LIMIT; i++)
		for (int byte = 0; byte < OBJECT; byte++)
			assert_int_equal(objects[i][byte], i % 251);
	assert_true(slab_bytes(&slab) >= (size_t)LIMIT * OBJECT);
	for (int i = 0; i < LIMIT; i++)
		slab_free(&slab, objects[i]);
	assert_int_equal(slab.used, 0);
	slab_destroy(&slab);
	assert_int_equal(slab_bytes(&slab), 0);
}

static void the_limit_is_never_exceeded_and_a_freed_object_comes_back_first(void **state)
{
	struct slab slab;
	void *objects[10];

	(void)state;
	slab_init(&slab, OBJECT, ARRAY_SIZE(objects));
	for (int i = 0; i < (int)ARRAY_SIZE(objects); i++)
		objects[i] = slab_alloc(&slab);
	assert_null(slab_alloc(&slab));
	assert_int_equal(slab_grow(&slab), -ENOMEM);
	slab_free(&slab, objects[3]);
	assert_ptr_equal(slab_alloc(&slab), objects[3]);
	for (int i = 0; i < (int)ARRAY_SIZE(objects); i++)
		slab_free(&slab, objects[i]);
	slab_destroy(&slab);
}

static void the_first_chunk_is_small(void **state)
{
	struct slab slab;
	void *object;

	(void)state;
	slab_init(&slab, OBJECT, LIMIT);
	object = slab_alloc(&slab);
	assert_true(slab_bytes(&slab) <= 16384);
	slab_free(&slab, object);
	slab_destroy(&slab);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(objects_are_distinct_and_hold_their_contents),
	cmocka_unit_test(the_limit_is_never_exceeded_and_a_freed_object_comes_back_first),
	cmocka_unit_test(the_first_chunk_is_small),
};

unit_main(tests)
