/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The page of a report: whole, well-formed, and honest about what it was given. */
#include "fs/report.h"

#include <libxml/parser.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/history.h"
#include "s3/base/cleanup.h"

#define PAGE_MAX_BYTES (300u * 1000)

static json_t *numbers(size_t count, double factor)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_real(factor * (double)(1 + i * 7919 % 13)));
	return list;
}

static json_t *times(size_t count, double from_ms)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_real(from_ms + 1000 * (double)i));
	return list;
}

static json_t *columns(size_t count, const char *const *keys, double factor)
{
	json_t *o = json_object();

	for (; *keys; keys++)
		json_object_set_new(o, *keys, numbers(count, factor));
	return o;
}

/* A run of COUNT seconds over PATHS paths. */
static json_t *make_data(size_t count, unsigned paths)
{
	static const char *const sample_keys[] = {"copied_bytes", "uploaded_bytes", "downloaded_bytes",
						  "server_copied_bytes", "memory_bytes", "done", "failed",
						  "retries", "throttled", NULL};
	static const char *const class_keys[] = {"running", "queued", "slots", "changes",
						 "p50_ms",  "p90_ms", "p99_ms", NULL};
	static const char *const path_keys[] = {"bytes", "requests", "errors", "throttled", "rtt_us",
						"rtt_mean_us", "limit", "in_flight", NULL};
	static const char *const classes[] = {"interactive", "high", "medium", "low"};
	json_t *o = json_pack("{s:i, s:i, s:i, s:{s:s, s:I, s:b, s:i, s:i, s:i, s:f}}", "at_ms", 5000000, "memory_limit_bytes",
			      64 << 20, "interval_ms", 1000, "settings", "writeback", "all", "memory_limit",
			      (json_int_t)64 << 20, "priority_queues", 1, "medium_from", 0, "chunk_workers", 0, "part_size",
			      16 << 20, "metadata_ttl", 5.0);
	json_t *samples = columns(count, sample_keys, 1e6), *by_class = json_object(), *list = json_array();
	char name[64];

	json_object_set_new(samples, "start_ms", times(count, 1000000));
	json_object_set_new(samples, "end_ms", times(count, 1001000));
	json_object_set_new(o, "samples", samples);
	for (int i = 0; i < 4; i++)
		json_object_set_new(by_class, classes[i], columns(count, class_keys, 10));
	json_object_set_new(o, "classes", by_class);
	for (unsigned i = 0; i < paths; i++) {
		json_t *p = columns(count, path_keys, 1000 + i);

		snprintf(name, sizeof(name), "http://host%u/<img>", i);
		json_object_set_new(p, "endpoint", json_string(name));
		json_object_set_new(p, "direction", json_string(i % 2 ? "read" : "write"));
		json_array_append_new(list, p);
	}
	json_object_set_new(o, "paths", list);
	return o;
}

static json_t *make_status(uint64_t copied_bytes)
{
	json_t *o = json_pack(
		"{s:s, s:s, s:{s:I, s:i, s:i, s:[{s:s, s:s}]}, s:{s:I}, s:{s:I, s:I}, s:[{s:s, s:s, s:s, s:s, s:s, s:b}]}",
		"mountpoint", "/mnt/<b>&\"s3\"", "version", "9", "changes", "done", (json_int_t)(copied_bytes > 0), "failed", 2,
		"pending", 0, "failures", "path", "/a/<script>alert(1)</script>", "error", "access \x1b[2Jdenied", "traffic",
		"copied_bytes", (json_int_t)copied_bytes, "memory", "limit_bytes", (json_int_t)64 << 20, "peak_bytes",
		(json_int_t)48 << 20, "buckets", "name", "photos", "bucket", "b", "prefix", "p/", "endpoint", "https://e",
		"region", "r", "readonly", 1);
	json_t *engine = json_pack(
		"{s:[s], s:{s:{s:i,s:i,s:i,s:i}}, s:[{s:s,s:s,s:s,s:i,s:i}], s:[{s:s,s:i,s:f}]}", "advice",
		"<i>all</i> is well", "classes", "high", "changes", 7, "p50_ms", 90, "p90_ms", 1700, "p99_ms", 130000,
		"network", "endpoint", "https://<e>", "direction", "read", "quality", "good", "rtt_us", 71234, "throttled", 3,
		"memory_profiles", "name", "tiny", "samples", 4, "ratio", 0.25);

	assert_non_null(engine);
	json_object_set_new(o, "engine", engine);
	return o;
}

static char *page_of(json_t *status, json_t *data, size_t *len)
{
	char *page = report_html(status, data, 1800000000, len);
	xmlDoc *doc;

	assert_non_null(page);
	assert_int_equal(strlen(page), *len);
	doc = xmlReadMemory(page, (int)*len, NULL, NULL, XML_PARSE_NONET);
	assert_non_null(doc);
	xmlFreeDoc(doc);
	json_decref(status);
	json_decref(data);
	return page;
}

static unsigned count_of(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

/* ----------------------------------------------------------------------------------------------------- tests */

static void the_page_shows_every_plot_and_table(void **state)
{
	static const char *const words[] = {
		"Throughput through this host", "Copied by the servers", "Requests in flight", "Requests waiting",
		"Memory for file data", "Time from submission", "Changes a second", "Round trip", "Transfers at once",
		"Throughput of each endpoint", "high (below 1 MB)", "medium (1 MB to 100 MB)", "low (from 100 MB)",
		"as the engine finds best", "16 MiB", "71 ms", "1.7 s", "2 min 10 s", "25 %", "48 MiB", "of 64 MiB allowed",
		"read-only", "s3://b/p/", "Settings in force",
	};
	size_t len;
	CLEANUP_FREE char *page = page_of(make_status(500000000), make_data(100, 2), &len);

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!strstr(page, words[i]))
			fail_msg("the page does not say \"%s\"", words[i]);
	}
	assert_int_equal(count_of(page, "<svg "), 10);
	assert_int_equal(count_of(page, "class=\"bad\""), 1);
}

static void the_page_needs_nothing_else(void **state)
{
	static const char *const words[] = {"<script", "<link", "<img", "<iframe", "src=", "href=", "url(", "@import"};
	size_t len;
	CLEANUP_FREE char *page = page_of(make_status(1), make_data(5, 3), &len);

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		assert_null(strstr(page, words[i]));
}

static void names_are_only_text(void **state)
{
	size_t len;
	CLEANUP_FREE char *page = page_of(make_status(1), make_data(5, 3), &len);

	assert_non_null(strstr(page, "/mnt/&lt;b&gt;&amp;&quot;s3&quot;"));
	assert_non_null(strstr(page, "/a/&lt;script&gt;"));
	assert_non_null(strstr(page, "access \\x1b[2Jdenied"));
	assert_non_null(strstr(page, "host0/&lt;img&gt;"));
	assert_non_null(strstr(page, "&lt;i&gt;all&lt;/i&gt;"));
}

static void the_longest_run_makes_a_small_page(void **state)
{
	size_t len;
	CLEANUP_FREE char *page = page_of(make_status(1), make_data(HISTORY_SAMPLES, HISTORY_PATHS), &len);

	assert_true(len < PAGE_MAX_BYTES);
	assert_non_null(strstr(page, "The busiest 6 are shown, 10 are not."));
}

static void an_idle_mount_has_no_plots(void **state)
{
	size_t len;
	CLEANUP_FREE char *page = page_of(make_status(0), make_data(0, 0), &len);

	assert_non_null(strstr(page, "Nothing was moved yet."));
	assert_null(strstr(page, "<svg "));
	assert_non_null(strstr(page, "Settings in force"));
}

static void the_peak_is_of_samples_that_are_long_enough(void **state)
{
	json_t *data = make_data(3, 0), *samples = json_object_get(data, "samples");
	size_t len;
	CLEANUP_FREE char *page = NULL;

	/* Seconds with 4, 2 and, in the last hundredth of one, again 4 MB. */
	json_object_set_new(samples, "start_ms", json_pack("[i,i,i]", 0, 1000, 2000));
	json_object_set_new(samples, "end_ms", json_pack("[i,i,i]", 1000, 2000, 2010));
	json_object_set_new(samples, "copied_bytes", json_pack("[i,i,i]", 4000000, 2000000, 4000000));
	json_object_del(samples, "uploaded_bytes");
	json_object_del(samples, "downloaded_bytes");
	page = page_of(make_status(10000000), data, &len);
	assert_non_null(strstr(page, "at most 4.0 MB/s"));
	assert_non_null(strstr(page, "<b>5.0 MB/s</b>"));
	assert_non_null(strstr(page, "<b>2.0 s</b>"));
}

static void answers_that_make_no_sense_are_survived(void **state)
{
	static const char *const answers[] = {
		"{}",
		"[]",
		"{\"samples\": 7, \"paths\": {}, \"classes\": []}",
		"{\"samples\": {\"start_ms\": [5, 1, \"x\"], \"end_ms\": [0]}, \"paths\": [1, {\"endpoint\": 3}]}",
		"{\"samples\": {\"start_ms\": [0, 1e308], \"end_ms\": [1e308, 0], \"copied_bytes\": [1e308, -1]}}",
		"{\"samples\": {\"start_ms\": [0]}, \"classes\": {\"high\": {\"changes\": [1], \"p50_ms\": [1e308]}}}",
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		size_t len;
		CLEANUP_FREE char *page = page_of(json_loads(i ? "{}" : answers[i], 0, NULL),
						  json_loads(answers[i], 0, NULL), &len);

		assert_null(strstr(page, "nan"));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_shows_every_plot_and_table),
		cmocka_unit_test(the_page_needs_nothing_else),
		cmocka_unit_test(names_are_only_text),
		cmocka_unit_test(the_longest_run_makes_a_small_page),
		cmocka_unit_test(an_idle_mount_has_no_plots),
		cmocka_unit_test(the_peak_is_of_samples_that_are_long_enough),
		cmocka_unit_test(answers_that_make_no_sense_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
