/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The history of a run: what a sample says, and that any run fits. */
#include "fs/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct history *h;
static struct sched_stats stats;
static struct sched_engine_stats engine;
static struct sched_memory_stats memory;

static int set_up(void **state)
{
	h = calloc(1, sizeof(*h));
	history_init(h);
	memset(&stats, 0, sizeof(stats));
	memset(&engine, 0, sizeof(engine));
	memset(&memory, 0, sizeof(memory));
	return 0;
}

static int tear_down(void **state)
{
	free(h);
	return 0;
}

static struct history_reading at(int64_t ms)
{
	return (struct history_reading){.at_ms = ms, .stats = &stats, .engine = &engine, .memory = &memory};
}

static void begin(int64_t ms)
{
	struct history_reading r = at(ms);

	history_begin(h, &r);
}

static void add(int64_t ms)
{
	struct history_reading r = at(ms);

	history_add(h, &r);
}

static struct sched_path_stats *path(unsigned i, const char *endpoint, enum sched_direction direction)
{
	struct sched_path_stats *p = &engine.paths[i];

	snprintf(p->endpoint, sizeof(p->endpoint), "%s", endpoint);
	p->direction = direction;
	if (engine.path_count <= i)
		engine.path_count = i + 1;
	return p;
}

static uint64_t copied_bytes(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < h->count; i++)
		sum += h->samples[i].bytes[HISTORY_COPIED];
	return sum;
}

static void assert_in_order(void)
{
	assert_true(h->count <= HISTORY_SAMPLES);
	for (size_t i = 0; i < h->count; i++) {
		assert_true(h->samples[i].end_ms > h->samples[i].start_ms);
		if (i)
			assert_true(h->samples[i].start_ms >= h->samples[i - 1].end_ms);
	}
}

/* ----------------------------------------------------------------------------------------------------- tests */

static void a_sample_is_what_happened_since_the_last(void **state)
{
	stats.copied_bytes = 500;
	stats.jobs_done = 3;
	begin(1000);
	assert_int_equal(h->count, 0);
	stats.copied_bytes = 700;
	stats.jobs_done = 5;
	stats.jobs_failed = 1;
	stats.running[SCHED_HIGH] = 7;
	stats.queued[SCHED_LOW] = 9;
	memory.used_bytes[SCHED_MEMORY_RELAY] = 100;
	memory.used_bytes[SCHED_MEMORY_READ] = 11;
	add(2000);
	assert_int_equal(h->count, 1);
	assert_int_equal(h->samples[0].start_ms, 1000);
	assert_int_equal(h->samples[0].end_ms, 2000);
	assert_int_equal(h->samples[0].bytes[HISTORY_COPIED], 200);
	assert_int_equal(h->samples[0].done, 2);
	assert_int_equal(h->samples[0].failed, 1);
	assert_int_equal(h->samples[0].memory_bytes, 111);
	assert_true(h->samples[0].classes[SCHED_HIGH].running == 7);
	assert_true(h->samples[0].classes[SCHED_LOW].queued == 9);
	add(3000);
	assert_int_equal(h->samples[1].bytes[HISTORY_COPIED], 0);
	assert_int_equal(h->samples[1].done, 0);
}

static void idle_time_has_no_samples(void **state)
{
	begin(0);
	add(1000);
	begin(500000);
	add(501000);
	assert_int_equal(h->count, 2);
	assert_int_equal(h->samples[0].end_ms, 1000);
	assert_int_equal(h->samples[1].start_ms, 500000);
}

static void a_clock_that_stands_still_gives_no_sample(void **state)
{
	add(100); /* nothing to compare with */
	add(100);
	add(50);
	assert_int_equal(h->count, 0);
	add(101);
	assert_int_equal(h->count, 1);
}

static void readings_between_become_one_sample(void **state)
{
	begin(0);
	for (int i = 1; i <= 10; i++) {
		stats.copied_bytes += 10;
		stats.running[SCHED_HIGH] = i <= 5 ? 0 : 10;
		add(i * 100);
	}
	assert_int_equal(h->count, 1);
	assert_int_equal(h->samples[0].bytes[HISTORY_COPIED], 100);
	assert_true(h->samples[0].classes[SCHED_HIGH].running > 4.99f && h->samples[0].classes[SCHED_HIGH].running < 5.01f);
}

static void latency_is_that_of_the_sample_alone(void **state)
{
	begin(0);
	engine.classes[SCHED_HIGH].latency.counts[3] = 100; /* 3 ms */
	add(1000);
	engine.classes[SCHED_HIGH].latency.counts[40] = 10; /* seconds */
	add(2000);
	add(3000);
	assert_int_equal(h->samples[0].classes[SCHED_HIGH].changes, 100);
	assert_int_equal(h->samples[0].classes[SCHED_HIGH].p99_ms, 3);
	assert_int_equal(h->samples[1].classes[SCHED_HIGH].changes, 10);
	assert_true(h->samples[1].classes[SCHED_HIGH].p50_ms > 1000);
	assert_int_equal(h->samples[2].classes[SCHED_HIGH].changes, 0);
	assert_int_equal(h->samples[2].classes[SCHED_HIGH].p50_ms, 0);
}

static void paths_keep_their_place(void **state)
{
	path(0, "http://a", SCHED_READ)->bytes = 10;
	path(1, "http://a", SCHED_WRITE)->requests = 1;
	begin(0);
	path(0, "http://new", SCHED_READ)->bytes = 7;
	path(1, "http://a", SCHED_READ)->bytes = 30;
	path(2, "http://a", SCHED_WRITE)->limit = 64;
	engine.paths[1].requests = 4;
	engine.paths[1].rtt_us = 50000;
	engine.paths[2].requests = 1;
	engine.paths[2].rtt_us = 70000;
	add(1000);
	assert_int_equal(h->path_count, 3);
	assert_string_equal(h->paths[0].endpoint, "http://a");
	assert_string_equal(h->paths[2].endpoint, "http://new");
	assert_int_equal(h->samples[0].paths[0].bytes, 20);
	assert_int_equal(h->samples[0].paths[0].rtt_us, 50000);
	assert_int_equal(h->samples[0].paths[2].bytes, 7);
	assert_true(h->samples[0].paths[1].limit == 64);
	/* Nothing was asked there, so the round trip is not known to be the same. */
	assert_int_equal(h->samples[0].paths[1].rtt_us, 0);
}

static void paths_beyond_the_bound_are_counted(void **state)
{
	char name[32];

	for (unsigned i = 0; i < HISTORY_PATHS + 3; i++) {
		snprintf(name, sizeof(name), "http://%u", i);
		path(i, name, SCHED_READ)->bytes = i;
	}
	begin(0);
	add(1000);
	assert_int_equal(h->path_count, HISTORY_PATHS);
	assert_int_equal(h->paths_left_out, 3);
}

static void a_run_of_any_length_fits_and_nothing_is_lost(void **state)
{
	static const int64_t seconds[] = {719, 721, 1441, 86400};

	for (size_t k = 0; k < sizeof(seconds) / sizeof(*seconds); k++) {
		tear_down(NULL);
		set_up(NULL);
		begin(0);
		for (int64_t s = 1; s <= seconds[k]; s++) {
			stats.copied_bytes += (uint64_t)s;
			add(s * 1000);
		}
		assert_in_order();
		assert_true(h->count > HISTORY_SAMPLES / 2 - 2);
		assert_int_equal(copied_bytes(), seconds[k] * (seconds[k] + 1) / 2);
		assert_int_equal(h->samples[0].start_ms, 0);
		assert_int_equal(h->samples[h->count - 1].end_ms, seconds[k] * 1000);
		/* Evenly: no part of the run is shown finer than another. */
		for (size_t i = 0; i + 1 < h->count; i++)
			assert_int_equal(h->samples[i].end_ms - h->samples[i].start_ms, h->interval_ms);
	}
}

static void any_number_of_short_runs_fits_too(void **state)
{
	int64_t now_ms = 0;

	for (int i = 0; i < 20000; i++) {
		now_ms += 3600000 + (i % 7) * 1000;
		begin(now_ms);
		stats.copied_bytes += 5;
		now_ms += 1000;
		add(now_ms);
		assert_in_order();
	}
	assert_int_equal(copied_bytes(), 20000 * 5);
	assert_true(h->count > HISTORY_SAMPLES / 4);
}

static void merging_keeps_peaks_of_memory_and_means_of_the_rest(void **state)
{
	begin(0);
	memory.used_bytes[0] = 50;
	path(0, "http://a", SCHED_READ)->limit = 10;
	for (int64_t s = 1; s <= HISTORY_SAMPLES + 1; s++) {
		memory.used_bytes[0] = s == 2 ? 900 : 50;
		engine.paths[0].limit = s == 2 ? 30 : 10;
		engine.paths[0].requests++;
		engine.paths[0].rtt_us = s == 1 ? 0 : 400;
		engine.paths[0].rtt_mean_us = s == 1 ? 0 : 500;
		engine.classes[SCHED_LOW].latency.counts[s == 1 ? 2 : 3] += s == 1 ? 1 : 3;
		add(s * 1000);
	}
	assert_int_equal(h->interval_ms, 2000);
	assert_int_equal(h->samples[0].memory_bytes, 900);
	assert_true(h->samples[0].paths[0].limit == 20);
	assert_int_equal(h->samples[0].paths[0].rtt_us, 400);
	assert_int_equal(h->samples[0].paths[0].rtt_mean_us, 500);
	assert_int_equal(h->samples[0].classes[SCHED_LOW].changes, 4);
	assert_int_equal(h->samples[0].classes[SCHED_LOW].p50_ms, 3); /* (2 + 3 × 3) / 4 */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_sample_is_what_happened_since_the_last),
		TEST(idle_time_has_no_samples),
		TEST(a_clock_that_stands_still_gives_no_sample),
		TEST(readings_between_become_one_sample),
		TEST(latency_is_that_of_the_sample_alone),
		TEST(paths_keep_their_place),
		TEST(paths_beyond_the_bound_are_counted),
		TEST(a_run_of_any_length_fits_and_nothing_is_lost),
		TEST(any_number_of_short_runs_fits_too),
		TEST(merging_keeps_peaks_of_memory_and_means_of_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
