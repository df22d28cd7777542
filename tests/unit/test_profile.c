/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory profiles: estimates, learning, and what is kept over restarts. */
#include "sched/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB 1048576

static void estimates_follow_the_profiles(void **state)
{
	static const struct {
		uint64_t size;
		unsigned workers;
		double factor;
		const char *name;
		uint64_t bytes;
	} cases[] = {
		{0, 1, 1, "tiny", MIB},
		{999999, 1, 2, "tiny", 1572863},
		{1000000, 1, 1, "small", MIB * 23 / 10},
		{10000000, 1, 1, "medium", 7 * MIB},
		{100000000, 8, 1, "large", 20 * MIB / 8},
		{100000000, 8, 0.5, "large", 20 * MIB / 16}, /* a poor link fills no rings */
		{1000000000, 0, 1, "xlarge", 70 * MIB},
	};
	struct profiles ps;
	size_t i;

	profiles_init(&ps);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = profile_estimate(&ps, cases[i].size, cases[i].workers, cases[i].factor);

		assert_string_equal(profile_name(profile_of(cases[i].size)), cases[i].name);
		assert_in_range(bytes, cases[i].bytes - 2, cases[i].bytes + 2);
	}
}

static void what_is_used_corrects_the_estimate_and_its_error_falls(void **state)
{
	struct profiles ps;
	const struct profile *p = &ps.kinds[PROFILE_TINY];
	unsigned i;

	profiles_init(&ps);
	for (i = 0; i < 200; i++)
		profile_learn(&ps, 100000, 1, 1, 180000 + (i * 7919) % 40000);
	assert_true(p->error_before > 3);
	assert_true(p->error_after < 0.2);
	assert_in_range(profile_estimate(&ps, 100000, 1, 1), 200000, 300000);
	assert_int_equal(ps.kinds[PROFILE_LARGE].samples, 0); /* the others know nothing of it */
	for (i = 0; i < 200; i++)
		profile_learn(&ps, 100000, 1, 1, 400000);
	assert_in_range(profile_estimate(&ps, 100000, 1, 1), 480000, 520000); /* and follows */
}

static void what_was_learned_is_bounded(void **state)
{
	struct profiles ps;
	unsigned i;

	profiles_init(&ps);
	for (i = 0; i < 100; i++)
		profile_learn(&ps, 1000, 1, 1, UINT64_MAX);
	assert_true(ps.kinds[PROFILE_TINY].ratio <= 4);
	for (i = 0; i < 1000; i++)
		profile_learn(&ps, 1000, 1, 1, 1);
	assert_true(ps.kinds[PROFILE_TINY].ratio >= 1.0 / 64);
	profile_learn(&ps, 2000000, 1, 1, 0); /* not measured */
	assert_int_equal(ps.kinds[PROFILE_SMALL].samples, 0);
}

static void it_can_be_kept_as_text(void **state)
{
	struct profiles ps, loaded;
	char text[512];
	size_t len;

	profiles_init(&ps);
	profile_learn(&ps, 100000, 1, 1, 200000);
	profile_learn(&ps, 5000000000, 8, 1, 1500000);
	len = profiles_save(&ps, text, sizeof(text));
	assert_int_equal(len, strlen(text));
	profiles_init(&loaded);
	assert_true(profiles_load(&loaded, text));
	assert_int_equal(loaded.kinds[PROFILE_XLARGE].samples, 1);
	assert_in_range(profile_estimate(&loaded, 100000, 1, 1), profile_estimate(&ps, 100000, 1, 1) - 5,
			profile_estimate(&ps, 100000, 1, 1) + 5);
}

static void what_is_no_such_text_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "tiny", "tiny 1 1000000 0 0\n", "large 1 1 1 1\n",
		"tiny 1 99000000 0 0\nsmall 0 1000000 0 0\nmedium 0 1000000 0 0\nlarge 0 1000000 0 0\nxlarge 0 1000000 0 0\n",
	};
	struct profiles ps, before;
	size_t i;

	profiles_init(&ps);
	profile_learn(&ps, 1, 1, 1, 100000);
	before = ps;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_false(profiles_load(&ps, texts[i]));
		assert_memory_equal(&ps, &before, sizeof(ps));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(estimates_follow_the_profiles),
		cmocka_unit_test(what_is_used_corrects_the_estimate_and_its_error_falls),
		cmocka_unit_test(what_was_learned_is_bounded),
		cmocka_unit_test(it_can_be_kept_as_text),
		cmocka_unit_test(what_is_no_such_text_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
