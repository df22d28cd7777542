/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Plots: ticks, the time axis, and that what is drawn is where it belongs. */
#include "fs/svg_plot.h"

#include <libxml/parser.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "s3/base/cleanup.h"

static struct svg_axis axis;

static char *escaped(const char *s)
{
	struct strbuf out = STRBUF_INIT;

	svg_escape(&out, s);
	return strbuf_detach(&out);
}

static char *plotted(const struct svg_plot *p)
{
	struct strbuf out = STRBUF_INIT;

	svg_plot(&out, p);
	assert_false(out.failed);
	return strbuf_detach(&out);
}

static void assert_well_formed(const char *text)
{
	xmlDoc *doc = xmlReadMemory(text, (int)strlen(text), NULL, NULL, XML_PARSE_NONET);

	assert_non_null(doc);
	xmlFreeDoc(doc);
}

static unsigned count_of(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

/* The text of the path of class CLASS, malloc'd. */
static char *path_of(const char *svg, const char *class)
{
	char mark[64];
	const char *at, *end;

	snprintf(mark, sizeof(mark), "<path class=\"%s\" d=\"", class);
	at = strstr(svg, mark);
	assert_non_null(at);
	at += strlen(mark);
	end = strchr(at, '"');
	return strndup(at, (size_t)(end - at));
}

/* ----------------------------------------------------------------------------------------------------- tests */

static void markup_in_names_is_only_text(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"plain é 漢", "plain é 漢"},
		{"<script>alert(\"x\")</script>", "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;"},
		{"a&b'c", "a&amp;b&#39;c"},
		{"bell\a\x1b[2J\x7f\n", "bell\\x07\\x1b[2J\\x7f\\x0a"},
		{"turn\u202e\u2066", "turn\\xe2\\x80\\xae\\xe2\\x81\\xa6"},
		{"ends \xe2", "ends \xe2"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP_FREE char *text = escaped(cases[i].in);

		assert_string_equal(text, cases[i].out);
	}
}

static void steps_are_round_and_few(void **state)
{
	static const double maxima[] = {1e-9, 0.03, 1, 4, 5, 7, 10, 99, 100, 101, 64, 1000, 12345678, 9.99e15};

	assert_true(svg_step(100, 5, false) == 20);
	assert_true(svg_step(64, 5, true) == 16);
	assert_true(svg_step(65, 5, true) == 16);
	assert_true(fabs(svg_step(0.3, 5, true) - 0.1) < 1e-12);
	assert_true(svg_step(0, 5, false) == 1);
	assert_true(svg_step(INFINITY, 5, false) == 1);
	for (size_t i = 0; i < sizeof(maxima) / sizeof(*maxima); i++) {
		double n = maxima[i] / svg_step(maxima[i], 5, false);

		assert_true(n > 1.9 && n < 5.001);
	}
}

static void steps_of_time_are_parts_of_minutes_hours_and_days(void **state)
{
	assert_true(svg_time_step(0.1, 6) == 1);
	assert_true(svg_time_step(40, 6) == 10);
	assert_true(svg_time_step(700, 6) == 120);
	assert_true(svg_time_step(7 * 3600, 6) == 7200);
	assert_true(svg_time_step(40 * 86400.0, 6) == 10 * 86400.0);
}

static void times_are_written_as_short_as_the_run_allows(void **state)
{
	char text[SVG_TIME_BYTES];

	assert_string_equal(svg_time_text(65, 100, text), "65 s");
	assert_string_equal(svg_time_text(65, 130, text), "1:05");
	assert_string_equal(svg_time_text(3909, 4000, text), "1:05:09");
	assert_string_equal(svg_time_text(5, 4000, text), "0:00:05");
}

static void time_fills_the_width_in_order(void **state)
{
	static double start[100], end[100];

	for (int i = 0; i < 100; i++) {
		start[i] = i;
		end[i] = i + 1;
	}
	svg_axis_init(&axis, start, end, 100);
	assert_int_equal(axis.column_count, 100);
	assert_int_equal(axis.cut_count, 0);
	for (size_t i = 1; i < 100; i++)
		assert_true(fabs(axis.columns[i].x0 - axis.columns[i - 1].x1) < 1e-6);
	for (size_t i = 1; i < axis.tick_count; i++)
		assert_true(axis.ticks[i].x - axis.ticks[i - 1].x >= 64);
	assert_true(axis.tick_count >= 4);
	assert_true(axis.ticks[0].at_s == 0);
}

static void long_idle_time_is_cut_and_short_is_left_blank(void **state)
{
	static const double start[] = {0, 10, 21, 90000}, end[] = {10, 20, 31, 90010};
	double px_per_s;

	svg_axis_init(&axis, start, end, 4);
	assert_int_equal(axis.column_count, 4);
	assert_int_equal(axis.cut_count, 1);
	px_per_s = (axis.columns[0].x1 - axis.columns[0].x0) / 10;
	assert_false(axis.columns[1].is_after_gap);
	assert_true(axis.columns[2].is_after_gap);
	assert_true(fabs(axis.columns[2].x0 - axis.columns[1].x1 - px_per_s) < 1e-6);
	assert_true(axis.columns[3].x0 - axis.columns[2].x1 < 20);
	/* What came after is labelled with its own time. */
	assert_true(axis.ticks[axis.tick_count - 1].at_s >= 90000);
}

static void any_number_of_samples_and_cuts_fits(void **state)
{
	static double start[5000], end[5000];

	for (int spacing = 1; spacing <= 1000; spacing *= 1000) {
		for (int i = 0; i < 5000; i++) {
			start[i] = (double)i * spacing;
			end[i] = start[i] + 1;
		}
		svg_axis_init(&axis, start, end, 5000);
		assert_true(axis.column_count > 100 && axis.column_count <= SVG_COLUMNS);
		assert_true(axis.columns[axis.column_count - 1].x1 < 541);
		assert_true(axis.columns[axis.column_count - 1].first + axis.columns[axis.column_count - 1].count == 5000);
	}
	svg_axis_init(&axis, NULL, NULL, 0);
	assert_int_equal(axis.column_count, 0);
}

static void values_are_drawn_as_steps_with_gaps(void **state)
{
	static const double start[] = {0, 1, 2, 3}, end[] = {1, 2, 3, 4}, values[] = {0, 50, NAN, 100};
	struct svg_series line = {.name = "v", .values = values, .style = SVG_LINE, .colour = 2};
	struct svg_plot p = {.title = "T", .kind = SVG_COUNT, .axis = &axis, .series = &line, .series_count = 1};
	CLEANUP_FREE char *svg = NULL, *path = NULL;

	svg_axis_init(&axis, start, end, 4);
	svg = plotted(&p);
	assert_well_formed(svg);
	path = path_of(svg, "l c2");
	/* From the ground, up to the middle, nothing where nothing is known, and along the top. */
	assert_string_equal(path, "M54 182H175.5V96H297M418.5 10H540");
}

static void areas_stand_on_each_other(void **state)
{
	static const double start[] = {0, 1}, end[] = {1, 2}, low[] = {25, 25}, high[] = {75, 25};
	struct svg_series areas[] = {{.name = "a", .values = low, .colour = 0}, {.name = "b", .values = high, .colour = 1}};
	struct svg_plot p = {.title = "T", .kind = SVG_COUNT, .axis = &axis, .series = areas, .series_count = 2};
	CLEANUP_FREE char *svg = NULL, *a = NULL, *b = NULL;

	svg_axis_init(&axis, start, end, 2);
	svg = plotted(&p);
	a = path_of(svg, "a c0");
	b = path_of(svg, "a c1");
	assert_string_equal(a, "M54 182V139H297H540V182z");
	assert_string_equal(b, "M54 182V10H297V96H540V182z");
	/* The lower one covers the one that stands on it, so it is drawn later. */
	assert_true(strstr(svg, "a c1") < strstr(svg, "a c0"));
}

static void the_unit_follows_the_largest_value(void **state)
{
	static const struct {
		enum svg_kind kind;
		double max;
		const char *unit, *label;
	} cases[] = {
		{SVG_RATE, 900, "in B/s", ">800<"},
		{SVG_RATE, 2.4e8, "in MB/s", ">200<"},
		{SVG_RATE, 3e9, "in GB/s", ">3<"},
		{SVG_BYTES, 64 * 1048576.0, "in MiB", ">48<"},
		{SVG_MS, 80, "in ms", ">80<"},
		{SVG_MS, 80000, "in s", ">80<"},
	};
	static const double start[] = {0}, end[] = {1};

	svg_axis_init(&axis, start, end, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct svg_series line = {.name = "v", .values = &cases[i].max, .style = SVG_LINE};
		struct svg_plot p = {
			.title = "T", .kind = cases[i].kind, .axis = &axis, .series = &line, .series_count = 1};
		CLEANUP_FREE char *svg = plotted(&p);

		assert_non_null(strstr(svg, cases[i].unit));
		assert_non_null(strstr(svg, cases[i].label));
	}
}

static void a_log_scale_has_a_line_for_each_decade(void **state)
{
	static const double start[] = {0, 1}, end[] = {1, 2}, values[] = {3, 4000};
	struct svg_series line = {.name = "v", .values = values, .style = SVG_LINE};
	struct svg_plot p = {
		.title = "T", .kind = SVG_MS, .is_log = true, .axis = &axis, .series = &line, .series_count = 1};
	CLEANUP_FREE char *svg = NULL;

	svg_axis_init(&axis, start, end, 2);
	svg = plotted(&p);
	for (int power = 1; power <= 10000; power *= 10) {
		char label[32];

		snprintf(label, sizeof(label), ">%d</text>", power);
		assert_int_equal(count_of(svg, label), 1);
	}
	assert_null(strstr(svg, ">100000<"));
}

static void plots_without_values_are_still_plots(void **state)
{
	static const double start[] = {0, 1}, end[] = {1, 2}, zeros[] = {0, 0}, unknown[] = {NAN, NAN};
	struct svg_series lines[] = {{.name = "<b>", .values = zeros, .style = SVG_LINE},
				     {.values = unknown, .style = SVG_DASHED}};
	struct svg_plot p = {
		.title = "A & B", .note = "x < y", .kind = SVG_RATE, .axis = &axis, .series = lines, .series_count = 2};

	svg_axis_init(&axis, start, end, 2);
	for (int log = 0; log < 2; log++) {
		CLEANUP_FREE char *svg = NULL;

		p.is_log = log;
		svg = plotted(&p);
		assert_well_formed(svg);
		assert_null(strstr(svg, "nan"));
		assert_null(strstr(svg, "inf"));
		assert_int_equal(count_of(svg, "<span>"), 1);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(markup_in_names_is_only_text),
		cmocka_unit_test(steps_are_round_and_few),
		cmocka_unit_test(steps_of_time_are_parts_of_minutes_hours_and_days),
		cmocka_unit_test(times_are_written_as_short_as_the_run_allows),
		cmocka_unit_test(time_fills_the_width_in_order),
		cmocka_unit_test(long_idle_time_is_cut_and_short_is_left_blank),
		cmocka_unit_test(any_number_of_samples_and_cuts_fits),
		cmocka_unit_test(values_are_drawn_as_steps_with_gaps),
		cmocka_unit_test(areas_stand_on_each_other),
		cmocka_unit_test(the_unit_follows_the_largest_value),
		cmocka_unit_test(a_log_scale_has_a_line_for_each_decade),
		cmocka_unit_test(plots_without_values_are_still_plots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
