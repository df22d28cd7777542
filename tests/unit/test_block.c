/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Blocks: references, owners, and that free memory really goes back to the kernel. */
#include "s3/base/block.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

struct counting_owner {
	struct block_owner owner;
	_Atomic unsigned released;
};

static void count_release(struct block_owner *owner)
{
	struct counting_owner *c = (struct counting_owner *)owner;

	atomic_fetch_add(&c->released, 1);
}

/* How many of the data areas are mapped: mincore() refuses an address that is not. */
static int mapped_count(void **areas, int count)
{
	int mapped = 0;

	for (int i = 0; i < count; i++) {
		unsigned char resident;

		mapped += mincore(areas[i], 1, &resident) == 0;
	}
	return mapped;
}

static void a_new_block_is_writable_and_not_shared(void **state)
{
	struct block *b = block_new(NULL);

	assert_non_null(b);
	assert_false(block_is_shared(b));
	memset(block_data(b), 0xa5, BLOCK_BYTES);
	assert_int_equal(block_data(b)[BLOCK_BYTES - 1], 0xa5);
	assert_int_equal((uintptr_t)block_data(b) % 4096, 0);
	block_unref(b);
	block_unref(NULL);
}

static void the_owner_hears_of_the_last_reference_only(void **state)
{
	struct counting_owner c = {.owner = {count_release}};
	struct block *b = block_new(&c.owner);

	assert_ptr_equal(block_ref(b), b);
	assert_true(block_is_shared(b));
	block_unref(b);
	assert_int_equal(c.released, 0);
	assert_false(block_is_shared(b));
	block_unref(b);
	assert_int_equal(c.released, 1);
}

static void a_reused_block_forgets_its_former_owner(void **state)
{
	struct counting_owner c = {.owner = {count_release}};
	struct block *b;

	block_trim();
	b = block_new(&c.owner);
	block_unref(b);
	assert_ptr_equal(block_new(NULL), b);
	block_unref(b);
	assert_int_equal(c.released, 1);
}

static void blocks_alive_at_once_do_not_overlap(void **state)
{
	struct block *blocks[100];

	for (int i = 0; i < 100; i++) {
		blocks[i] = block_new(NULL);
		memset(block_data(blocks[i]), i, BLOCK_BYTES);
	}
	for (int i = 0; i < 100; i++) {
		assert_int_equal(block_data(blocks[i])[0], i);
		assert_int_equal(block_data(blocks[i])[BLOCK_BYTES - 1], i);
	}
	for (int i = 0; i < 100; i++)
		block_unref(blocks[i]);
}

static void memory_beyond_the_free_list_goes_back_to_the_kernel(void **state)
{
	enum {
		COUNT = 512
	};
	struct block *blocks[COUNT];
	void *areas[COUNT];

	block_trim();
	for (int i = 0; i < COUNT; i++) {
		blocks[i] = block_new(NULL);
		areas[i] = block_data(blocks[i]);
	}
	assert_int_equal(mapped_count(areas, COUNT), COUNT);
	for (int i = 0; i < COUNT; i++)
		block_unref(blocks[i]);
	assert_in_range(mapped_count(areas, COUNT), 1, 64);
	block_trim();
	assert_int_equal(mapped_count(areas, COUNT), 0);
}

static void *hammer(void *arg)
{
	struct block *shared = arg;

	for (int i = 0; i < 5000; i++) {
		struct block *own = block_new(NULL);

		block_ref(shared);
		block_data(own)[i % 4096] = (unsigned char)i;
		block_unref(own);
		block_unref(shared);
	}
	block_unref(shared);
	return NULL;
}

static void threads_share_blocks_and_the_free_list(void **state)
{
	struct counting_owner c = {.owner = {count_release}};
	struct block *shared = block_new(&c.owner);
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, block_ref(shared)), 0);
	block_unref(shared);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(c.released, 1);
}

static int trim(void **state)
{
	block_trim();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_block_is_writable_and_not_shared),
		cmocka_unit_test(the_owner_hears_of_the_last_reference_only),
		cmocka_unit_test(a_reused_block_forgets_its_former_owner),
		cmocka_unit_test(blocks_alive_at_once_do_not_overlap),
		cmocka_unit_test(memory_beyond_the_free_list_goes_back_to_the_kernel),
		cmocka_unit_test(threads_share_blocks_and_the_free_list),
	};

	return cmocka_run_group_tests(tests, NULL, trim);
}
