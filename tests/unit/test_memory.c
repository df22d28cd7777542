/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory admission. */
#include "sched/memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

struct waiter {
	struct sched_memory_waiter w;
	unsigned granted, order;
};

static unsigned grants;

static void granted(struct sched_memory_waiter *w)
{
	struct waiter *waiter = (struct waiter *)w; /* the first field */

	waiter->granted++;
	waiter->order = ++grants;
}

static bool wait_for(struct sched_memory *m, struct waiter *w, uint64_t bytes)
{
	*w = (struct waiter){.w = {.kind = SCHED_MEMORY_WRITE, .bytes = bytes, .granted = granted}};
	return sched_memory_wait(m, &w->w);
}

static void the_limit_is_divided_and_has_a_least(void **state)
{
	struct sched_memory *m = sched_memory_new(1);

	assert_int_equal(sched_memory_limit(m), SCHED_MEMORY_MIN_BYTES);
	sched_memory_free(m);
	m = sched_memory_new(800 * MIB);
	assert_int_equal(sched_memory_share(m, SCHED_MEMORY_RELAY), 400 * MIB);
	assert_int_equal(sched_memory_share(m, SCHED_MEMORY_WRITE), 100 * MIB);
	assert_int_equal(sched_memory_share(m, SCHED_MEMORY_PART), 200 * MIB);
	assert_int_equal(sched_memory_share(m, SCHED_MEMORY_READ), 100 * MIB);
	sched_memory_free(m);
}

static void a_share_cannot_be_passed_and_kinds_do_not_disturb_each_other(void **state)
{
	struct sched_memory *m = sched_memory_new(80 * MIB);

	assert_true(sched_memory_try(m, SCHED_MEMORY_WRITE, 10 * MIB));
	assert_false(sched_memory_try(m, SCHED_MEMORY_WRITE, 1));
	assert_true(sched_memory_try(m, SCHED_MEMORY_READ, 10 * MIB));
	sched_memory_release(m, SCHED_MEMORY_WRITE, 1);
	assert_true(sched_memory_try(m, SCHED_MEMORY_WRITE, 1));
	sched_memory_release(m, SCHED_MEMORY_WRITE, 10 * MIB);
	sched_memory_release(m, SCHED_MEMORY_READ, 10 * MIB);
	sched_memory_free(m);
}

static void waiters_are_served_in_order_and_a_large_one_is_not_overtaken(void **state)
{
	struct sched_memory *m = sched_memory_new(80 * MIB);
	struct sched_memory_stats st;
	struct waiter w[4];

	grants = 0;
	assert_true(wait_for(m, &w[0], 6 * MIB));
	assert_int_equal(w[0].granted, 0);
	assert_false(wait_for(m, &w[1], 8 * MIB));
	assert_false(wait_for(m, &w[2], 1 * MIB)); /* it would fit, but is behind */
	assert_false(sched_memory_try(m, SCHED_MEMORY_WRITE, 1));
	assert_false(wait_for(m, &w[3], 2 * MIB));
	sched_memory_stats(m, &st);
	assert_int_equal(st.waiting, 3);
	assert_int_equal(st.waits, 3);
	sched_memory_release(m, SCHED_MEMORY_WRITE, 6 * MIB);
	assert_int_equal(w[1].order, 1);
	assert_int_equal(w[2].order, 2);
	assert_int_equal(w[3].granted, 0);
	sched_memory_release(m, SCHED_MEMORY_WRITE, 1 * MIB);
	assert_int_equal(w[3].order, 3);
	sched_memory_stats(m, &st);
	assert_int_equal(st.used_bytes[SCHED_MEMORY_WRITE], 10 * MIB);
	assert_int_equal(st.peak_bytes, 10 * MIB);
	assert_int_equal(st.waiting, 0);
	sched_memory_release(m, SCHED_MEMORY_WRITE, 10 * MIB);
	sched_memory_free(m);
}

static void who_leaves_the_queue_makes_way(void **state)
{
	struct sched_memory *m = sched_memory_new(80 * MIB);
	struct waiter w[3];

	assert_true(wait_for(m, &w[0], 6 * MIB));
	assert_false(wait_for(m, &w[1], 8 * MIB));
	assert_false(wait_for(m, &w[2], 4 * MIB));
	assert_true(sched_memory_unwait(m, &w[1].w));
	assert_int_equal(w[2].granted, 1);
	assert_int_equal(w[1].granted, 0);
	assert_false(sched_memory_unwait(m, &w[1].w));
	assert_false(sched_memory_unwait(m, &w[2].w));
	sched_memory_release(m, SCHED_MEMORY_WRITE, 10 * MIB);
	sched_memory_free(m);
}

static void a_block_gives_its_reservation_back_with_the_last_reference(void **state)
{
	struct sched_memory *m = sched_memory_new(80 * MIB);
	struct sched_memory_stats st;
	struct block *b;

	assert_true(sched_memory_try(m, SCHED_MEMORY_PART, BLOCK_BYTES));
	b = sched_memory_block(m, SCHED_MEMORY_PART);
	block_ref(b);
	block_unref(b);
	sched_memory_stats(m, &st);
	assert_int_equal(st.used_bytes[SCHED_MEMORY_PART], BLOCK_BYTES);
	block_unref(b);
	sched_memory_stats(m, &st);
	assert_int_equal(st.used_bytes[SCHED_MEMORY_PART], 0);
	sched_memory_free(m);
	block_trim();
}

static void *take_and_give(void *arg)
{
	struct sched_memory *m = arg;
	unsigned i;

	for (i = 0; i < 20000; i++)
		if (sched_memory_try(m, i % 2 ? SCHED_MEMORY_READ : SCHED_MEMORY_WRITE, 3 * MIB))
			sched_memory_release(m, i % 2 ? SCHED_MEMORY_READ : SCHED_MEMORY_WRITE, 3 * MIB);
	return NULL;
}

static void threads_never_pass_the_limit(void **state)
{
	struct sched_memory *m = sched_memory_new(32 * MIB);
	struct sched_memory_stats st;
	pthread_t t[4];
	unsigned i;

	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, take_and_give, m), 0);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	sched_memory_stats(m, &st);
	assert_true(st.peak_bytes <= 8 * MIB);
	assert_int_equal(st.used_bytes[SCHED_MEMORY_READ] + st.used_bytes[SCHED_MEMORY_WRITE], 0);
	sched_memory_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_limit_is_divided_and_has_a_least),
		cmocka_unit_test(a_share_cannot_be_passed_and_kinds_do_not_disturb_each_other),
		cmocka_unit_test(waiters_are_served_in_order_and_a_large_one_is_not_overtaken),
		cmocka_unit_test(who_leaves_the_queue_makes_way),
		cmocka_unit_test(a_block_gives_its_reservation_back_with_the_last_reference),
		cmocka_unit_test(threads_never_pass_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
