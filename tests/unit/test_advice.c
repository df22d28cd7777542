/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Advice: each state has its sentence, and a quiet engine says little. */
#include "sched/sched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char said[8192];

static void hear(void *arg, const char *line)
{
	strcat(said, line);
	strcat(said, "\n");
}

static struct sched_engine_stats quiet(void)
{
	return (struct sched_engine_stats){
		.relay_share_bytes = 100,
		.priority_queues = true,
		.dynamic_memory = true,
		.streaming_optimizer = true,
		.network_monitor = true,
	};
}

static void expect(const struct sched_engine_stats *es, const char *words)
{
	said[0] = '\0';
	sched_engine_advice(es, hear, NULL);
	if (!strstr(said, words))
		print_message("%s", said);
	assert_non_null(strstr(said, words));
}

static void nothing_moved_is_said(void **state)
{
	static struct sched_engine_stats es;

	es = quiet();
	expect(&es, "Nothing has been moved");
}

static void paths_without_work_are_not_listed(void **state)
{
	static struct sched_engine_stats es;

	es = quiet();
	es.path_count = 2;
	es.paths[0] = (struct sched_path_stats){.endpoint = "http://idle", .limit = 96, .requests = 500, .slowdown = 9};
	es.paths[1] = (struct sched_path_stats){.endpoint = "http://e", .limit = 64, .requests = 500, .pace_per_s = 190};
	expect(&es, "Nothing is to be copied or stored.");
	assert_null(strstr(said, "http://"));
	es.classes[SCHED_LOW].queued = 1;
	expect(&es, "190 requests a second"); /* for which what waits has to wait */
	es.paths[1].pace_per_s = 0;
	es.paths[1].in_flight = 2;
	expect(&es, "memory or the other end bounds it");
	assert_null(strstr(said, "http://idle"));
}

static void each_state_of_a_path_has_its_sentence(void **state)
{
	static const struct {
		struct sched_path_stats path;
		const char *words;
	} cases[] = {
		{{.endpoint = "http://e", .limit = 64, .in_flight = 60, .phase = "steady", .rtt_us = 20000}, "60 of 64"},
		{{.endpoint = "http://e", .limit = 64, .in_flight = 3, .phase = "steady"}, "not more to do"},
		{{.endpoint = "http://e", .limit = 9, .in_flight = 9, .pace_per_s = 190}, "190 requests a second"},
		{{.endpoint = "http://e", .requests = 100, .throttled = 5}, "slow down"},
		{{.endpoint = "http://e", .requests = 100, .errors = 5}, "5.0 % of the requests"},
		{{.endpoint = "http://e", .requests = 100, .in_flight = 9, .slowdown = 3}, "3.0 times longer"},
		{{.endpoint = "http://e", .requests = 100, .band = SCHED_BAND_POOR, .rtt_us = 700000}, "700 ms away"},
	};
	static struct sched_engine_stats es;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		es = quiet();
		es.paths[0] = cases[i].path;
		es.path_count = 1;
		expect(&es, cases[i].words);
		assert_non_null(strstr(said, i == 4 ? "log" : "http://e"));
	}
}

static void memory_that_is_short_is_named(void **state)
{
	static struct sched_engine_stats es;

	es = quiet();
	es.relay_used_bytes = 95;
	es.classes[SCHED_LOW] = (struct sched_class_stats){
		.queued = 7, .running = 3, .workers_planned = 12, .worker_bytes = 2 << 20, .memory_waits = 4, .memory_waited_ms = 2500};
	expect(&es, "waited 2.5 s");
	expect(&es, "memory_limit");
	expect(&es, "12 workers x 2.0 MiB");
}

static void what_is_off_is_named(void **state)
{
	static const char *const names[] = {"network_monitor", "priority_queues", "dynamic_memory", "streaming_optimizer"};
	static struct sched_engine_stats es;
	size_t i;

	es = quiet();
	es.priority_queues = es.dynamic_memory = es.streaming_optimizer = es.network_monitor = false;
	for (i = 0; i < 4; i++)
		expect(&es, names[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_moved_is_said),
		cmocka_unit_test(paths_without_work_are_not_listed),
		cmocka_unit_test(each_state_of_a_path_has_its_sentence),
		cmocka_unit_test(memory_that_is_short_is_named),
		cmocka_unit_test(what_is_off_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
