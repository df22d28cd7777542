/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Percent-encoding: tables, and that decoding undoes encoding for every byte. */
#include "s3/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void encoding_follows_the_table(void **state)
{
	static const struct {
		const char *plain;
		bool keep_slash;
		const char *encoded;
	} table[] = {
		{"", false, ""},
		{"AZaz09-._~", false, "AZaz09-._~"},
		{"a/b", true, "a/b"},
		{"a/b", false, "a%2Fb"},
		{"//a//", true, "//a//"},
		{"a b+c%d", true, "a%20b%2Bc%25d"},
		{"!*'()=&?#:@$,;", true, "%21%2A%27%28%29%3D%26%3F%23%3A%40%24%2C%3B"},
		{"\xc3\xa4\xe2\x82\xac", true, "%C3%A4%E2%82%AC"},
		{"\xff\x01\x7f", true, "%FF%01%7F"},
		{"%41", true, "%2541"},
		{"./../", true, "./../"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

		uri_encode(&out, table[i].plain, table[i].keep_slash);
		assert_string_equal(out.data, table[i].encoded);
	}
}

static void encoding_appends(void **state)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

	strbuf_addstr(&out, "/x?");
	uri_encode(&out, "a b", false);
	assert_string_equal(out.data, "/x?a%20b");
}

static void decoding_undoes_encoding_for_every_byte(void **state)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	char all[256];

	for (int i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	all[255] = '\0';
	uri_encode(&out, all, false);
	assert_true(uri_decode(out.data, false));
	assert_string_equal(out.data, all);
	strbuf_reset(&out);
	uri_encode(&out, all, true);
	assert_true(uri_decode(out.data, true));
	assert_string_equal(out.data, all);
}

static void decoding_follows_the_table(void **state)
{
	static const struct {
		const char *encoded;
		bool plus_is_space;
		const char *plain; /* NULL: refused */
	} table[] = {
		{"", true, ""},
		{"a+b%2B%2b", true, "a b++"},
		{"a+b", false, "a+b"},
		{"%25%32%35", false, "%25"},
		{"%e2%82%AC", false, "\xe2\x82\xac"},
		{"%", false, NULL},
		{"ok%4", false, NULL},
		{"%zz", false, NULL},
		{"%4z", false, NULL},
		{"%-1", false, NULL},
		{"a%20b%00c", false, NULL},
		{"%%41", false, NULL},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char s[32];

		strcpy(s, table[i].encoded);
		assert_int_equal(uri_decode(s, table[i].plus_is_space), table[i].plain != NULL);
		assert_string_equal(s, table[i].plain ? table[i].plain : table[i].encoded);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encoding_follows_the_table),
		cmocka_unit_test(encoding_appends),
		cmocka_unit_test(decoding_undoes_encoding_for_every_byte),
		cmocka_unit_test(decoding_follows_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
