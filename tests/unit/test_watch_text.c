/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text that fits, bars that do not lie, and times to come. */
#include "fs/watch_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void eta_follows_from_what_is_left_and_the_rate(void **state)
{
	static const struct {
		uint64_t remaining_bytes;
		double rate;
		const char *text;
	} cases[] = {
		{0, 0, "0:00"},                /* nothing is left, however slow */
		{0, 1e6, "0:00"},
		{100, 0, "-"},                 /* nothing moves */
		{100, -1, "-"},
		{100, 50, "0:02"},
		{101, 50, "0:03"},             /* rather later than too early */
		{1, 1e9, "0:01"},
		{60, 1, "1:00"},
		{3599, 1, "59:59"},
		{3600, 1, "1:00:00"},
		{172799, 1, "47:59:59"},
		{172800, 1, "2 d 0 h"},
		{86400 * 3 + 7200, 1, "3 d 2 h"},
		{UINT64_MAX, 1e-300, "-"},
		{UINT64_MAX, 1, "-"},
	};
	char out[WATCH_ETA_BYTES];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(watch_eta_text(watch_eta_s(cases[i].remaining_bytes, cases[i].rate), out),
				    cases[i].text);
	assert_string_equal(watch_eta_text(NAN, out), "-");
	assert_string_equal(watch_eta_text(INFINITY, out), "-");
}

static void bars_are_full_only_at_the_end_and_empty_only_before(void **state)
{
	static const struct {
		uint64_t part, whole;
		unsigned columns;
		const char *bar;
	} cases[] = {
		{0, 100, 12, "[..........]"}, {1, 1000, 12, "[#.........]"}, {50, 100, 12, "[#####.....]"},
		{999, 1000, 12, "[#########.]"}, {100, 100, 12, "[##########]"}, {200, 100, 12, "[##########]"},
		{0, 0, 12, "[..........]"}, {UINT64_MAX / 2, UINT64_MAX, 12, "[#####.....]"}, {1, 2, 3, "[.]"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

		watch_add_bar(&out, cases[i].part, cases[i].whole, cases[i].columns);
		assert_string_equal(out.data, cases[i].bar);
	}
}

static void what_is_too_long_is_cut(void **state)
{
	static const struct {
		const char *s;
		unsigned columns;
		bool keep_end;
		const char *cut;
	} cases[] = {
		{"photos/a", 8, true, "photos/a"},
		{"photos/ab", 8, true, "...os/ab"},
		{"photos/ab", 8, false, "photo..."},
		{"photos/ab", 3, true, "..."},
		{"photos/ab", 2, true, ".."},
		{"photos/ab", 0, true, ""},
		{"a\nb", 10, true, "a\\x0ab"},
		{"Zo\xc3\xab", 3, true, "Zo\xc3\xab"},
		{"\xe4\xb8\xad\xe6\x96\x87", 4, true, "\xe4\xb8\xad\xe6\x96\x87"},  /* two wide ones */
		{"ab\xe4\xb8\xad\xe6\x96\x87", 5, true, "...\xe6\x96\x87"},
		{"\xe4\xb8\xad\xe6\x96\x87xx", 5, false, "\xe4\xb8\xad..."},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

		strbuf_addstr(&out, "");
		watch_add_cut(&out, cases[i].s, cases[i].columns, cases[i].keep_end);
		assert_string_equal(out.data ? out.data : "", cases[i].cut);
		assert_true(watch_columns(out.data ? out.data : "") <= cases[i].columns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eta_follows_from_what_is_left_and_the_rate),
		cmocka_unit_test(bars_are_full_only_at_the_end_and_empty_only_before),
		cmocka_unit_test(what_is_too_long_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
