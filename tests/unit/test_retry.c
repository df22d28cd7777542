/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Retry policy. */
#include "sched/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void zero_means_the_default(void **state)
{
	struct retry_policy p;

	retry_policy_init(&p, 0, 0, 0);
	assert_int_equal(p.retry_max, RETRY_MAX_DEFAULT);
	assert_int_equal(p.base_ms, RETRY_BASE_MS_DEFAULT);
	assert_int_equal(p.cap_ms, RETRY_CAP_MS_DEFAULT);
	retry_policy_init(&p, 3, 500, 10);
	assert_int_equal(p.retry_max, 3);
	assert_int_equal(p.cap_ms, 500); /* never below the base */
}

static void attempts_are_counted(void **state)
{
	struct retry_policy p;

	retry_policy_init(&p, 2, 0, 0);
	assert_true(retry_allowed(&p, S3_OP_PUT, S3_ERR_NETWORK, 1));
	assert_true(retry_allowed(&p, S3_OP_PUT, S3_ERR_NETWORK, 2));
	assert_false(retry_allowed(&p, S3_OP_PUT, S3_ERR_NETWORK, 3));
}

static void every_class_has_its_answer(void **state)
{
	static const bool again[S3_ERR__COUNT] = {
		[S3_ERR_THROTTLED] = true, [S3_ERR_SERVER] = true,  [S3_ERR_NAME] = true,
		[S3_ERR_CONNECT] = true,   [S3_ERR_NETWORK] = true, [S3_ERR_TIMEOUT] = true,
		[S3_ERR_PROTOCOL] = true,  [S3_ERR_CORRUPT] = true,
	};
	struct retry_policy p;
	unsigned e;

	retry_policy_init(&p, 0, 0, 0);
	for (e = S3_ERR_CANCELLED; e < S3_ERR__COUNT; e++)
		if (e != S3_ERR_CONFLICT)
			assert_int_equal(retry_allowed(&p, S3_OP_PUT, e, 1), again[e]);
	assert_true(retry_allowed(&p, S3_OP_UPLOAD_COMPLETE, S3_ERR_CONFLICT, 1));
	assert_false(retry_allowed(&p, S3_OP_HEAD, S3_ERR_CONFLICT, 1));
}

static void the_bound_doubles_up_to_the_cap(void **state)
{
	static const int64_t bounds_ms[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
	struct retry_policy p;
	uint64_t random = 42;
	unsigned attempts, i;

	retry_policy_init(&p, 0, 100, 5000);
	for (attempts = 1; attempts <= 9; attempts++) {
		int64_t least = INT64_MAX, most = 0, bound = bounds_ms[attempts - 1];

		for (i = 0; i < 5000; i++) {
			int64_t d = retry_delay_ms(&p, attempts, -1, retry_random(&random));

			least = d < least ? d : least;
			most = d > most ? d : most;
		}
		assert_true(least >= 0 && least < bound / 20);
		assert_true(most <= bound && most > bound - bound / 20);
	}
	assert_true(retry_delay_ms(&p, 1000000, -1, UINT64_MAX) <= 5000);
}

static void a_server_that_names_a_time_is_believed_within_reason(void **state)
{
	struct retry_policy p;

	retry_policy_init(&p, 0, 100, 5000);
	assert_int_equal(retry_delay_ms(&p, 1, 3000, 0), 3000);
	assert_int_equal(retry_delay_ms(&p, 1, 3000, 50), 3050);
	assert_int_equal(retry_delay_ms(&p, 1, 86400000, 0), RETRY_AFTER_MAX_MS);
	assert_int_equal(retry_delay_ms(&p, 1, 0, 50), 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zero_means_the_default),
		cmocka_unit_test(attempts_are_counted),
		cmocka_unit_test(every_class_has_its_answer),
		cmocka_unit_test(the_bound_doubles_up_to_the_cap),
		cmocka_unit_test(a_server_that_names_a_time_is_believed_within_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
