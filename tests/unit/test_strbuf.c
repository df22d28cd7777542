/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Growing strings: contents, the terminating NUL, and the sticky failure. */
#include "s3/base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void what_is_added_stands_in_order_and_terminated(void **state)
{
	CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;

	strbuf_addstr(&sb, "ab");
	strbuf_addch(&sb, 'c');
	strbuf_add(&sb, "d\0e", 3);
	strbuf_addf(&sb, "-%d-%s", 42, "x");
	assert_int_equal(sb.len, 11);
	assert_memory_equal(sb.data, "abcd\0e-42-x", 12);
	assert_false(sb.failed);
}

static void long_contents_survive_growth(void **state)
{
	CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;

	for (unsigned i = 0; i < 10000; i++)
		strbuf_addf(&sb, "%04u", i);
	assert_int_equal(sb.len, 40000);
	assert_int_equal(strlen(sb.data), 40000);
	for (unsigned i = 0; i < 10000; i += 777) {
		char want[8];

		snprintf(want, sizeof(want), "%04u", i);
		assert_memory_equal(sb.data + (size_t)4 * i, want, 4);
	}
}

static void a_formatted_text_of_any_length_fits_exactly(void **state)
{
	for (int width = 0; width < 600; width++) {
		CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;

		strbuf_addf(&sb, "%*s", width, "");
		assert_int_equal(sb.len, width);
		assert_int_equal(strlen(sb.data), width);
	}
}

static void adding_nothing_still_terminates(void **state)
{
	CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;

	strbuf_add(&sb, NULL, 0);
	assert_string_equal(sb.data, "");
}

static void detach_gives_the_string_away_and_empties(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	char *s;

	strbuf_addstr(&sb, "mine");
	s = strbuf_detach(&sb);
	assert_string_equal(s, "mine");
	free(s);
	assert_null(sb.data);
	assert_int_equal(sb.len, 0);
	s = strbuf_detach(&sb);
	assert_string_equal(s, "");
	free(s);
}

static void reset_empties_and_keeps_the_memory(void **state)
{
	CLEANUP_STRBUF struct strbuf sb = STRBUF_INIT;
	const char *before;

	strbuf_addstr(&sb, "something");
	before = sb.data;
	strbuf_reset(&sb);
	assert_int_equal(sb.len, 0);
	assert_string_equal(sb.data, "");
	strbuf_addstr(&sb, "else");
	assert_ptr_equal(sb.data, before);
	assert_string_equal(sb.data, "else");
}

static void a_failure_sticks_until_the_end(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	volatile size_t too_much = SIZE_MAX - 1;

	strbuf_addstr(&sb, "before");
	strbuf_add(&sb, "x", too_much);
	assert_true(sb.failed);
	strbuf_addstr(&sb, "after");
	strbuf_addf(&sb, "%d", 1);
	assert_string_equal(sb.data, "before");
	assert_null(strbuf_detach(&sb));
	assert_false(sb.failed);
	assert_null(sb.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_added_stands_in_order_and_terminated),
		cmocka_unit_test(long_contents_survive_growth),
		cmocka_unit_test(a_formatted_text_of_any_length_fits_exactly),
		cmocka_unit_test(adding_nothing_still_terminates),
		cmocka_unit_test(detach_gives_the_string_away_and_empties),
		cmocka_unit_test(reset_empties_and_keeps_the_memory),
		cmocka_unit_test(a_failure_sticks_until_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
