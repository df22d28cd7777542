/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Metrics: the format as Prometheus reads it, and the figures in base units. */
#include "fs/metrics.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAME_MAX_BYTES 100
#define METRICS_MAX    200

static struct metrics m;

static int set_up(void **state)
{
	memset(&m, 0, sizeof(m));
	m.version = "1.2";
	for (int i = 0; i < SCHED_PROFILES; i++)
		m.engine.profiles[i].name = (const char *[]){"tiny", "small", "medium", "large", "xlarge"}[i];
	m.engine.path_count = 2;
	m.engine.paths[0] = (struct sched_path_stats){
		.endpoint = "https://s3.example.com", .direction = SCHED_READ, .band = SCHED_BAND_GOOD, .rtt_us = 70,
		.limit = 96, .bytes = (1ull << 53) - 1, .goodput_bytes_per_s = 0.5,
	};
	m.engine.paths[1] = m.engine.paths[0];
	m.engine.paths[1].direction = SCHED_WRITE;
	m.engine.paths[1].rtt_us = 0;
	m.engine.paths[1].limit = 0;
	return 0;
}

static void expect(const char *text, bool is_there)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

	metrics_write(&m, &out);
	assert_false(out.failed);
	if (!strstr(out.data, text) == is_there) {
		print_message("%s", out.data);
		fail_msg("%s %s", is_there ? "missing:" : "should not be there:", text);
	}
}

/* --------------------------------------------------------------------------------------------- a small parser */

struct metric {
	char name[NAME_MAX_BYTES], type[16];
};

static bool ends_with(const char *s, const char *end)
{
	return strlen(s) >= strlen(end) && !strcmp(s + strlen(s) - strlen(end), end);
}

static const char *skip_name(const char *p)
{
	assert_true(isalpha((unsigned char)*p) || *p == '_');
	while (isalnum((unsigned char)*p) || *p == '_')
		p++;
	return p;
}

static const char *skip_labels(const char *p)
{
	if (*p != '{')
		return p;
	do {
		p = skip_name(p + 1);
		assert_int_equal(*p++, '=');
		assert_int_equal(*p++, '"');
		for (; *p != '"'; p++) {
			assert_true(*p && *p != '\n');
			if (*p == '\\')
				assert_true(strchr("\\\"n", *++p));
		}
		p++;
	} while (*p == ',');
	assert_int_equal(*p, '}');
	return p + 1;
}

/* LINE belongs to METRIC: its name, perhaps with a suffix of its type, labels, and a number to the end of the line. */
static void check_sample(const char *line, const struct metric *metric)
{
	const char *p = skip_name(line);
	size_t len = strlen(metric->name);
	char *end;

	assert_memory_equal(line, metric->name, len);
	if ((size_t)(p - line) != len)
		assert_true(!strcmp(metric->type, "summary") && !strncmp(line + len, "_count", (size_t)(p - line) - len));
	p = skip_labels(p);
	assert_int_equal(*p, ' ');
	strtod(p + 1, &end);
	assert_true(end > p + 1 && *end == '\0');
}

static void check_head(const char *help, const char *type, struct metric *out)
{
	char name[NAME_MAX_BYTES];
	int at = 0;

	assert_int_equal(sscanf(help, "# HELP %99s %n", name, &at), 1);
	assert_true(at > 0 && help[at]);
	assert_int_equal(sscanf(type, "# TYPE %99s %15s", out->name, out->type), 2);
	assert_string_equal(name, out->name);
	assert_int_equal(strncmp(name, "s3bridge_", 9), 0);
	assert_true(!strcmp(out->type, "counter") || !strcmp(out->type, "gauge") || !strcmp(out->type, "summary"));
	assert_int_equal(ends_with(name, "_total"), !strcmp(out->type, "counter"));
	assert_true(!ends_with(name, "_ms") && !ends_with(name, "_us"));
}

static void every_line_is_of_the_format(void **state)
{
	static struct metric metrics[METRICS_MAX];
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	char *save, *help = NULL;
	size_t count = 0, samples = 0;

	metrics_write(&m, &out);
	assert_int_equal(out.data[out.len - 1], '\n');
	for (char *line = strtok_r(out.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, "# HELP ", 7)) {
			help = line;
		} else if (line[0] == '#') {
			assert_true(count < METRICS_MAX);
			check_head(help, line, &metrics[count]);
			for (size_t i = 0; i < count; i++)
				assert_string_not_equal(metrics[i].name, metrics[count].name);
			count++;
		} else {
			check_sample(line, &metrics[count - 1]);
			samples++;
		}
	}
	assert_true(count > 50 && samples > 100);
}

/* ----------------------------------------------------------------------------------------------------- tests */

static void labels_are_escaped(void **state)
{
	snprintf(m.engine.paths[0].endpoint, sizeof(m.engine.paths[0].endpoint), "a\"b\\c\nd");
	m.version = "\"";
	expect("{endpoint=\"a\\\"b\\\\c\\nd\",direction=\"read\"}", true);
	expect("s3bridge_build_info{version=\"\\\"\"} 1\n", true);
	every_line_is_of_the_format(state);
}

static void units_are_seconds_and_bytes(void **state)
{
	m.uptime_ms = 1500;
	m.memory.waited_us = 250;
	m.engine.classes[SCHED_HIGH] = (struct sched_class_stats){
		.memory_waited_ms = 40, .changes = 7, .p50_ms = 4, .p99_ms = 12000};
	expect("\ns3bridge_uptime_seconds 1.5\n", true);
	expect("\ns3bridge_memory_wait_seconds_total 0.00025\n", true);
	expect("\ns3bridge_relay_memory_wait_seconds_total{class=\"high\"} 0.04\n", true);
	expect("\ns3bridge_change_duration_seconds{class=\"high\",quantile=\"0.5\"} 0.004\n", true);
	expect("\ns3bridge_change_duration_seconds{class=\"high\",quantile=\"0.99\"} 12\n", true);
	expect("\ns3bridge_change_duration_seconds_count{class=\"high\"} 7\n", true);
	expect("\ns3bridge_network_round_trip_seconds{endpoint=\"https://s3.example.com\",direction=\"read\"} 7e-05\n", true);
}

static void large_counters_are_exact(void **state)
{
	expect("bytes_total{endpoint=\"https://s3.example.com\",direction=\"read\"} 9007199254740991\n", true);
}

static void what_is_unknown_is_absent(void **state)
{
	expect("s3bridge_network_round_trip_seconds{endpoint=\"https://s3.example.com\",direction=\"write\"}", false);
	expect("s3bridge_network_concurrency_limit{endpoint=\"https://s3.example.com\",direction=\"read\"} 96\n", true);
	expect("s3bridge_network_concurrency_limit{endpoint=\"https://s3.example.com\",direction=\"write\"}", false);
	expect("s3bridge_change_duration_seconds{", false);
}

static void the_quality_is_one_of_its_bands(void **state)
{
	expect("direction=\"read\",quality=\"good\"} 1\n", true);
	expect("direction=\"read\",quality=\"poor\"} 0\n", true);
}

static void no_sample_is_there_twice(void **state)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	const char *first;

	m.engine.paths[1].direction = SCHED_READ;
	metrics_write(&m, &out);
	first = strstr(out.data, "\ns3bridge_network_requests_total{");
	assert_non_null(first);
	assert_null(strstr(first + 1, "\ns3bridge_network_requests_total{"));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_line_is_of_the_format),
		TEST(labels_are_escaped),
		TEST(units_are_seconds_and_bytes),
		TEST(large_counters_are_exact),
		TEST(what_is_unknown_is_absent),
		TEST(the_quality_is_one_of_its_bands),
		TEST(no_sample_is_there_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
