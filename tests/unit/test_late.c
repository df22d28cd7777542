/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is late: percentiles, timeouts that adapt, the budget of hedges. */
#include "sched/late.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS ((int64_t)1000)
#define S (1000 * MS)

static uint64_t random_state = 1;

static int64_t pick(int64_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (int64_t)((random_state >> 33) % (uint64_t)below);
}

static void percentiles_are_found_and_followed(void **state)
{
	struct late l;
	unsigned i;

	late_init(&l);
	for (i = 0; i < 5000; i++)
		late_learn(&l, LATE_OBJECT, 1 + pick(100 * MS));
	assert_in_range((int64_t)l.p90_us, 80 * MS, 100 * MS);
	assert_in_range((int64_t)l.kinds[LATE_OBJECT].p95_us, 85 * MS, 115 * MS);
	for (i = 0; i < 1000; i++)
		late_learn(&l, LATE_OBJECT, 1 + pick(10 * MS));
	assert_in_range((int64_t)l.p90_us, 8 * MS, 10 * MS);
}

static void timeouts_follow_the_first_byte_within_bounds(void **state)
{
	static const struct {
		int64_t first_byte_us, stall_ms, first_ms;
	} cases[] = {{10 * MS, 10000, 2000}, {200 * MS, 10000, 4000}, {1 * S, 20000, 20000}, {30 * S, 60000, 30000}};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct late l;

		late_init(&l);
		assert_int_equal(late_first_byte_ms(&l, 3), 0);
		late_learn(&l, LATE_OBJECT, cases[i].first_byte_us);
		assert_int_equal(late_stall_ms(l.p90_us, 0), cases[i].stall_ms);
		assert_int_equal(late_first_byte_ms(&l, 0), cases[i].first_ms);
	}
}

static void each_attempt_may_stall_for_twice_as_long_within_bounds(void **state)
{
	assert_int_equal(late_stall_ms(0, 0), 0);
	assert_int_equal(late_stall_ms(0, 3), 0);
	assert_int_equal(late_stall_ms(1 * S, 1), 40000);
	assert_int_equal(late_stall_ms(1 * S, 4), 320000);
	assert_int_equal(late_stall_ms(1 * S, 100), 320000);
}

static void each_timeout_widens_and_many_at_once_are_one(void **state)
{
	struct late l;
	unsigned i;

	late_init(&l);
	late_learn(&l, LATE_OBJECT, 10 * MS);
	assert_int_equal(late_first_byte_ms(&l, 0), 2000);
	assert_int_equal(late_first_byte_ms(&l, 1), 4000);
	assert_int_equal(late_first_byte_ms(&l, 2), 8000);
	assert_int_equal(late_first_byte_ms(&l, 9), 30000);
	for (i = 0; i < 100; i++) /* all of them began before the first was given up */
		late_learn_timeout(&l, 1 * S + i, 3 * S + i);
	assert_int_equal(late_first_byte_ms(&l, 0), 4000);
	late_learn_timeout(&l, 4 * S, 8 * S);
	assert_int_equal(late_first_byte_ms(&l, 0), 8000);
	for (i = 0; i < 200; i++)
		late_learn(&l, LATE_OBJECT, 10 * MS);
	assert_int_equal(late_first_byte_ms(&l, 0), 2000);
}

static void a_hedge_needs_to_know_what_is_usual(void **state)
{
	struct late l;
	unsigned i;

	late_init(&l);
	for (i = 0; i < 31; i++)
		late_learn(&l, LATE_OBJECT, 100 * MS);
	assert_int_equal(late_hedge_ms(&l, LATE_OBJECT), 0);
	late_learn(&l, LATE_OBJECT, 100 * MS);
	assert_in_range(late_hedge_ms(&l, LATE_OBJECT), 160, 220);
	assert_int_equal(late_hedge_ms(&l, LATE_LIST), 0);
	for (i = 0; i < 1000; i++)
		late_learn(&l, LATE_OBJECT, 1 * MS);
	assert_int_equal(late_hedge_ms(&l, LATE_OBJECT), 50);
}

static void hedges_are_a_small_share(void **state)
{
	struct late l;
	unsigned i, taken = 0;

	late_init(&l);
	for (i = 0; i < 10000; i++) {
		late_learn(&l, LATE_OBJECT, 1 * MS);
		taken += late_take_hedge(&l);
	}
	assert_in_range(taken, 290, 304);
}

/* What is cancelled because its hedge was faster must not make the rest look fast. */
static void what_was_outrun_counts_as_late(void **state)
{
	struct late l;
	unsigned i;

	late_init(&l);
	for (i = 0; i < 3000; i++) {
		if (i % 10 == 0)
			late_learn_outrun(&l, LATE_OBJECT, 2 * (int64_t)l.kinds[LATE_OBJECT].p95_us);
		else
			late_learn(&l, LATE_OBJECT, 20 * MS);
	}
	assert_true(l.kinds[LATE_OBJECT].p95_us > 20 * MS); /* one in ten takes longer: so does the 95th of a hundred */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles_are_found_and_followed),
		cmocka_unit_test(timeouts_follow_the_first_byte_within_bounds),
		cmocka_unit_test(each_attempt_may_stall_for_twice_as_long_within_bounds),
		cmocka_unit_test(each_timeout_widens_and_many_at_once_are_one),
		cmocka_unit_test(a_hedge_needs_to_know_what_is_usual),
		cmocka_unit_test(hedges_are_a_small_share),
		cmocka_unit_test(what_was_outrun_counts_as_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
