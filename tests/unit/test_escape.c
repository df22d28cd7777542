/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Escapes: a line stays a line, and a terminal is not commanded. */
#include "fs/escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(const char *s, const char *escaped)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

	strbuf_addstr(&out, "=");
	escape_line(&out, s);
	assert_false(out.failed);
	assert_string_equal(out.data + 1, escaped);
}

static void what_is_readable_stays(void **state)
{
	expect("", "");
	expect("a b/c.txt", "a b/c.txt");
	expect("Zo\xc3\xab \xe2\x82\xac \xf0\x9f\x90\xab", "Zo\xc3\xab \xe2\x82\xac \xf0\x9f\x90\xab");
}

static void what_ends_a_line_is_escaped(void **state)
{
	expect("a\nb\r\v\f", "a\\x0ab\\x0d\\x0b\\x0c");
	expect("\x1c\x1d\x1e", "\\x1c\\x1d\\x1e");
	expect("\xc2\x85", "\\xc2\\x85");         /* next line */
	expect("\xe2\x80\xa8", "\\xe2\\x80\\xa8"); /* line separator */
	expect("\xe2\x80\xa9", "\\xe2\\x80\\xa9");
}

static void what_commands_a_terminal_is_escaped(void **state)
{
	expect("\x1b[2J", "\\x1b[2J");
	expect("\x7f\t", "\\x7f\\x09");
	expect("\xc2\x9b", "\\xc2\\x9b");          /* CSI in one character */
	expect("\xe2\x80\xae", "\\xe2\\x80\\xae"); /* right-to-left override */
}

static void a_backslash_is_doubled(void **state)
{
	expect("a\\x0a", "a\\\\x0a");
}

static void what_is_no_utf_8_is_escaped_byte_by_byte(void **state)
{
	expect("\xff", "\\xff");
	expect("\xc3", "\\xc3");             /* cut */
	expect("\xe2\x82", "\\xe2\\x82");
	expect("\xe2\x82" "a", "\\xe2\\x82a");
	expect("\xc0\xaf", "\\xc0\\xaf");    /* too long */
	expect("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
	expect("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* half a pair */
	expect("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
	expect("\x80", "\\x80");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_readable_stays),
		cmocka_unit_test(what_ends_a_line_is_escaped),
		cmocka_unit_test(what_commands_a_terminal_is_escaped),
		cmocka_unit_test(a_backslash_is_doubled),
		cmocka_unit_test(what_is_no_utf_8_is_escaped_byte_by_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
