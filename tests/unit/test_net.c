/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network monitor: bands, baselines, the limit, "slow down", the retry budget. */
#include "sched/net.h"

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

static struct net_sample sample(int64_t now_us, int64_t duration_us, uint32_t rtt_us, uint64_t bytes, enum s3_error error)
{
	return (struct net_sample){
		.now_us = now_us,
		.duration_us = duration_us,
		.rtt_us = rtt_us,
		.bytes = bytes,
		.error = error,
		.on_this_side = true,
		.is_transfer = true,
	};
}

static void one(struct net_path *p, int64_t now_us, uint32_t rtt_us, enum s3_error error)
{
	struct net_sample s = sample(now_us, rtt_us, rtt_us, 1000, error);

	net_path_start(p, SCHED_HIGH, now_us - rtt_us);
	net_path_end(p, SCHED_HIGH, &s);
}

static void the_round_trip_decides_the_band_and_the_start(void **state)
{
	static const struct {
		uint32_t rtt_us;
		enum sched_band band;
		unsigned limit;
	} cases[] = {
		{1000, SCHED_BAND_EXCELLENT, 96}, {49999, SCHED_BAND_EXCELLENT, 96}, {50000, SCHED_BAND_GOOD, 72},
		{99999, SCHED_BAND_GOOD, 72},     {100000, SCHED_BAND_FAIR, 48},     {499999, SCHED_BAND_FAIR, 48},
		{500000, SCHED_BAND_POOR, 24},    {5000000, SCHED_BAND_POOR, 24},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net_path p;

		net_path_init(&p, "e", SCHED_WRITE, true, 0);
		assert_int_equal(net_path_band(&p), SCHED_BAND_UNKNOWN);
		one(&p, 10 * S, cases[i].rtt_us, S3_OK);
		assert_int_equal(net_path_band(&p), cases[i].band);
		assert_int_equal((unsigned)p.limit, cases[i].limit);
	}
}

static void the_baseline_forgets_within_two_periods(void **state)
{
	struct sched_path_stats st;
	struct net_path p;
	int64_t now_us;

	net_path_init(&p, "e", SCHED_WRITE, true, 0);
	for (now_us = S; now_us < 10 * S; now_us += 100 * MS)
		one(&p, now_us, now_us % S ? 40000 : 5000, S3_OK); /* queueing, and now and then none */
	net_path_stats(&p, now_us, &st);
	assert_int_equal(st.rtt_us, 5000);
	assert_true(st.rtt_mean_us > 20000);
	for (; now_us < 25 * S; now_us += 100 * MS)
		one(&p, now_us, 80000, S3_OK);
	net_path_stats(&p, now_us, &st);
	assert_int_equal(st.rtt_us, 80000);
}

/* RUNNING in flight all the time, each taking what a link of CAPACITY requests a second makes of it. */
static int64_t load(struct net_path *p, int64_t now_us, int64_t until_us, unsigned offered, int64_t rtt_us, double capacity)
{
	int64_t ends[NET_LIMIT_MAX * 2];
	int64_t starts[NET_LIMIT_MAX * 2];
	unsigned n = 0, i, first;

	while (now_us < until_us) {
		while (n < offered && net_path_allows(p, SCHED_LOW, now_us)) {
			double alone_us = (double)rtt_us, crowded_us = (n + 1) * 1e6 / capacity;

			starts[n] = now_us;
			ends[n++] = now_us + (int64_t)(alone_us > crowded_us ? alone_us : crowded_us);
			net_path_start(p, SCHED_LOW, now_us);
		}
		for (first = 0, i = 1; i < n; i++)
			if (ends[i] < ends[first])
				first = i;
		if (ends[first] > now_us)
			now_us = ends[first];
		struct net_sample s = sample(now_us, now_us - starts[first], (uint32_t)rtt_us, 100000, S3_OK);

		net_path_end(p, SCHED_LOW, &s);
		n--;
		starts[first] = starts[n];
		ends[first] = ends[n];
	}
	while (n-- > 0) {
		struct net_sample s = sample(now_us, now_us - starts[n], (uint32_t)rtt_us, 0, S3_ERR_CANCELLED);

		net_path_end(p, SCHED_LOW, &s);
	}
	return now_us;
}

static void the_limit_grows_while_it_gains_and_no_further(void **state)
{
	static const struct {
		int64_t rtt_us;
		double capacity;
		unsigned least, most;
	} cases[] = {
		{50000, 2000, 96, 400}, /* 100 in flight fill it */
		{50000, 100000, 500, 512},
		{200000, 500, 90, 400},
		{2000, 4000, 4, 300},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net_path p;

		net_path_init(&p, "e", SCHED_WRITE, true, 0);
		load(&p, S, 20 * S, 1000, cases[i].rtt_us, cases[i].capacity);
		assert_in_range((unsigned)p.limit, cases[i].least, cases[i].most);
	}
}

static void what_the_application_does_not_use_is_not_raised(void **state)
{
	struct net_path p;

	net_path_init(&p, "e", SCHED_WRITE, true, 0);
	load(&p, S, 30 * S, 10, 50000, 100000);
	assert_int_equal((unsigned)p.limit, 72);
}

static void slow_down_cuts_once_in_a_while_and_comes_back(void **state)
{
	struct net_path p;
	double before, cut;
	unsigned i;
	int64_t now_us = 20 * S;

	net_path_init(&p, "e", SCHED_WRITE, true, 0);
	for (i = 0; i < 200; i++)
		net_path_start(&p, SCHED_HIGH, now_us);
	before = p.limit;
	for (i = 0; i < 100; i++) {
		struct net_sample s = sample(now_us + i, 1000, 0, 0, S3_ERR_THROTTLED);

		net_path_end(&p, SCHED_HIGH, &s);
	}
	cut = p.limit;
	assert_in_range((unsigned)cut, (unsigned)(0.64 * before), (unsigned)(0.66 * before));
	for (i = 0; i < 100; i++) {
		struct net_sample s = sample(now_us + (i + 1) * 100 * MS, 1000, 1000, 0, S3_OK);

		net_path_end(&p, SCHED_HIGH, &s);
	}
	assert_true(p.limit > cut + 0.5 * (before - cut));
	assert_true(p.limit <= before);
}

static void a_single_refusal_is_no_reason(void **state)
{
	struct net_path p;
	double before;

	net_path_init(&p, "e", SCHED_WRITE, true, 0);
	one(&p, S, 20000, S3_OK);
	before = p.limit;
	one(&p, 2 * S, 20000, S3_ERR_THROTTLED);
	assert_true(p.limit == before && p.pace_per_s == 0);
}

static void a_class_has_its_share_when_others_fill_the_path(void **state)
{
	struct net_path p;
	unsigned n = 0;

	net_path_init(&p, "e", SCHED_WRITE, true, 0);
	while (net_path_allows(&p, SCHED_LOW, S)) {
		net_path_start(&p, SCHED_LOW, S);
		n++;
	}
	assert_int_equal(n, 64);
	for (n = 0; net_path_allows(&p, SCHED_HIGH, S); n++)
		net_path_start(&p, SCHED_HIGH, S);
	assert_int_equal(n, 64);
	assert_true(net_path_allows(&p, SCHED_INTERACTIVE, S));
}

static void a_path_without_control_always_allows(void **state)
{
	struct net_path p;
	unsigned i;

	net_path_init(&p, "e", SCHED_WRITE, false, 0);
	for (i = 0; i < 2000; i++) {
		assert_true(net_path_allows(&p, SCHED_LOW, S));
		net_path_start(&p, SCHED_LOW, S);
	}
}

static void retries_are_paid_for_by_successes(void **state)
{
	struct net_budget b;
	unsigned i;

	net_budget_init(&b, 0);
	for (i = 0; i < 100; i++)
		assert_int_equal(net_budget_take_ms(&b, 0), 0);
	for (i = 1; i <= 100; i++)
		assert_int_equal(net_budget_take_ms(&b, 0), i * 100); /* ten a second */
	for (i = 0; i < 300; i++)
		net_budget_success(&b);
	assert_int_equal(net_budget_take_ms(&b, 0), 0);
}

static void a_path_has_room_below_its_limit_and_while_nobody_refuses(void **state)
{
	struct net_path p;
	unsigned i;

	net_path_init(&p, "e", SCHED_READ, true, 0);
	assert_true(net_path_has_room(&p, S));
	for (i = 0; i < (unsigned)p.limit; i++)
		net_path_start(&p, SCHED_LOW, S);
	assert_false(net_path_has_room(&p, S));
	net_path_init(&p, "e", SCHED_READ, false, 0);
	one(&p, 20 * S, 20000, S3_ERR_THROTTLED);
	assert_false(net_path_has_room(&p, 24 * S));
	assert_true(net_path_has_room(&p, 26 * S));
}

static void what_a_near_server_takes_is_not_called_slow(void **state)
{
	struct net_path p;
	struct net_sample s = sample(S, 1500, 20, 1000, S3_OK);
	struct sched_path_stats st;
	unsigned i;

	net_path_init(&p, "e", SCHED_READ, true, 0);
	for (i = 0; i < 50; i++) {
		net_path_start(&p, SCHED_HIGH, S);
		net_path_end(&p, SCHED_HIGH, &s);
	}
	net_path_stats(&p, S, &st);
	assert_true(st.slowdown > 1 && st.slowdown < 2); /* not 75, as of the round trip */
	s.duration_us = 20 * MS;
	for (i = 0; i < 50; i++) {
		net_path_start(&p, SCHED_HIGH, S);
		net_path_end(&p, SCHED_HIGH, &s);
	}
	net_path_stats(&p, S, &st);
	assert_true(st.slowdown > 15 && st.slowdown < 21);
}

static void a_stall_is_noticed_where_something_is_written_too(void **state)
{
	struct net_path p;
	struct net_sample s = sample(S, 2 * S, 0, 0, S3_OK);

	net_path_init(&p, "e", SCHED_WRITE, true, 0);
	assert_int_equal(net_path_stall_ms(&p, 0), 0);
	s.answer_us = 1 * S; /* what is written to says only when it answers */
	net_path_start(&p, SCHED_HIGH, S);
	net_path_end(&p, SCHED_HIGH, &s);
	assert_int_equal(net_path_stall_ms(&p, 0), 20000);
	assert_int_equal(net_path_stall_ms(&p, 1), 40000);

	net_path_init(&p, "e", SCHED_READ, true, 0);
	late_learn(&p.late, LATE_OBJECT, 2 * S);
	net_path_start(&p, SCHED_HIGH, S);
	net_path_end(&p, SCHED_HIGH, &s);
	assert_int_equal(net_path_stall_ms(&p, 0), 40000);
}

static void a_proxy_on_the_way_does_not_hide_how_far_the_server_is(void **state)
{
	struct net_sample s = sample(10 * S, 200000, 20, 100000, S3_OK);
	struct sched_path_stats st;
	struct net_path p;

	net_path_init(&p, "e", SCHED_READ, true, 10 * S);
	net_path_start(&p, SCHED_HIGH, 10 * S);
	s.answer_us = 180000; /* the server was busy */
	net_path_end(&p, SCHED_HIGH, &s);
	assert_int_equal(net_path_band(&p), SCHED_BAND_FAIR);
	net_path_answered(&p, 70000, 10 * S);
	assert_int_equal(net_path_band(&p), SCHED_BAND_GOOD);
	net_path_answered(&p, 0, 10 * S); /* says nothing */
	net_path_answered(&p, 90000, 10 * S);
	net_path_stats(&p, 10 * S, &st);
	assert_int_equal(st.rtt_us, 70000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_near_server_takes_is_not_called_slow),
		cmocka_unit_test(a_stall_is_noticed_where_something_is_written_too),
		cmocka_unit_test(a_proxy_on_the_way_does_not_hide_how_far_the_server_is),
		cmocka_unit_test(the_round_trip_decides_the_band_and_the_start),
		cmocka_unit_test(the_baseline_forgets_within_two_periods),
		cmocka_unit_test(the_limit_grows_while_it_gains_and_no_further),
		cmocka_unit_test(what_the_application_does_not_use_is_not_raised),
		cmocka_unit_test(slow_down_cuts_once_in_a_while_and_comes_back),
		cmocka_unit_test(a_single_refusal_is_no_reason),
		cmocka_unit_test(a_class_has_its_share_when_others_fill_the_path),
		cmocka_unit_test(a_path_without_control_always_allows),
		cmocka_unit_test(retries_are_paid_for_by_successes),
		cmocka_unit_test(a_path_has_room_below_its_limit_and_while_nobody_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
