/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Key pieces and names: each piece has a name, each name at most one piece, there and back. */
#include "fs/keys.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *piece, *name, *object_name;
} table[] = {
	{"plain", "plain", ".s3%=plain"},
	{"", ".s3%", ".s3%=.s3%"},
	{".", ".s3%.", ".s3%=.s3%."},
	{"..", ".s3%..", ".s3%=.s3%.."},
	{"...", "...", ".s3%=..."},
	{".s3", ".s3", ".s3%=.s3"},
	{".s3%", ".s3%.s3%", ".s3%=.s3%.s3%"},
	{".s3%=", ".s3%.s3%=", ".s3%=.s3%.s3%="},
	{".s3%=a", ".s3%.s3%=a", ".s3%=.s3%.s3%=a"},
	{".s3%.s3%", ".s3%.s3%.s3%", ".s3%=.s3%.s3%.s3%"},
	{".s3%x", ".s3%.s3%x", ".s3%=.s3%.s3%x"},
	{".s3bridge", ".s3bridge", ".s3%=.s3bridge"},
	{"\xff\xfe not utf-8\n\t\x01", "\xff\xfe not utf-8\n\t\x01", ".s3%=\xff\xfe not utf-8\n\t\x01"},
	{" %2F ", " %2F ", ".s3%= %2F "},
};

static void pieces_have_the_names_of_the_table_and_come_back(void **state)
{
	char name[KEY_NAME_MAX + 1], piece[KEY_NAME_MAX + 1];
	size_t i;
	bool only;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t len = strlen(table[i].piece);

		assert_int_equal(key_piece_to_name(table[i].piece, len, false, name), strlen(table[i].name));
		assert_string_equal(name, table[i].name);
		assert_int_equal(key_name_to_piece(name, piece, &only), len);
		assert_string_equal(piece, table[i].piece);
		assert_false(only);

		assert_int_equal(key_piece_to_name(table[i].piece, len, true, name), strlen(table[i].object_name));
		assert_string_equal(name, table[i].object_name);
		assert_int_equal(key_name_to_piece(name, piece, &only), len);
		assert_string_equal(piece, table[i].piece);
		assert_true(only);
	}
}

static void names_that_nothing_is_called_are_refused(void **state)
{
	static const char *const names[] = {"", ".", "..", ".s3%a", ".s3%...", ".s3%.s3", ".s3%=", ".s3%=.", ".s3%=..",
					    ".s3%=.s3%a", ".s3%=.s3%=a", "a/b", "/"};
	char piece[KEY_NAME_MAX + 1];
	size_t i;
	bool only;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(key_name_to_piece(names[i], piece, &only), -EINVAL);
}

static void lengths_end_at_the_limit(void **state)
{
	char name[KEY_NAME_MAX + 1], piece[KEY_NAME_MAX + 1], longest[KEY_NAME_MAX + 2];
	bool only;

	memset(longest, 'x', sizeof(longest));
	assert_int_equal(key_piece_to_name(longest, KEY_NAME_MAX, false, name), KEY_NAME_MAX);
	assert_int_equal(key_name_to_piece(name, piece, &only), KEY_NAME_MAX);
	assert_int_equal(key_piece_to_name(longest, KEY_NAME_MAX + 1, false, name), -ENAMETOOLONG);
	assert_int_equal(key_piece_to_name(longest, KEY_NAME_MAX - 5, true, name), KEY_NAME_MAX);
	assert_int_equal(key_piece_to_name(longest, KEY_NAME_MAX - 4, true, name), -ENAMETOOLONG);
	longest[KEY_NAME_MAX + 1] = '\0';
	assert_int_equal(key_name_to_piece(longest, piece, &only), -ENAMETOOLONG);
	assert_int_equal(key_piece_to_name("a\0b", 3, false, name), -EILSEQ);
}

static uint32_t rng_state = 12345;

static uint32_t rng(uint32_t below)
{
	rng_state = rng_state * 1664525u + 1013904223u;
	return (rng_state >> 8) % below;
}

/* Strings of the parts that matter, so that escapes of escapes turn up. */
static size_t some_string(char *out)
{
	static const char *const parts[] = {".", "s3", "%", "=", ".s3%", ".s3%=", "a", "..", "\xff", " "};
	size_t len = 0;
	uint32_t n = rng(6);

	while (n--) {
		const char *part = parts[rng(sizeof(parts) / sizeof(parts[0]))];

		memcpy(out + len, part, strlen(part));
		len += strlen(part);
	}
	out[len] = '\0';
	return len;
}

static void every_piece_comes_back_and_every_name_is_the_name_of_its_piece(void **state)
{
	char text[64], name[KEY_NAME_MAX + 1], piece[KEY_NAME_MAX + 1];
	bool beside, only;
	int i, len, n;

	for (i = 0; i < 200000; i++) {
		len = (int)some_string(text);
		beside = rng(2);
		n = key_piece_to_name(text, (size_t)len, beside, name);
		assert_true(n > 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
		assert_int_equal(key_name_to_piece(name, piece, &only), len);
		assert_string_equal(piece, text);
		assert_int_equal(only, beside);

		some_string(text);
		n = key_name_to_piece(text, piece, &only);
		if (n < 0)
			continue;
		assert_int_equal(key_piece_to_name(piece, (size_t)n, only, name), strlen(text));
		assert_string_equal(name, text);
	}
}

static void rsyncs_temporary_names_are_known(void **state)
{
	static const struct {
		const char *name;
		bool temporary;
	} cases[] = {
		{".file.txt.aB3xYz", true}, {".f.000000", true},    {"file.aB3xYz", false}, {".aB3xYz", false},
		{"..aB3xYz", false},        {".file.aB3xY", false}, {".file.aB3xY_", false}, {".file.aB3xYzz", false},
		{".file", false},           {"", false},            {".", false},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(key_name_is_temporary(cases[i].name), cases[i].temporary);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_have_the_names_of_the_table_and_come_back),
		cmocka_unit_test(names_that_nothing_is_called_are_refused),
		cmocka_unit_test(lengths_end_at_the_limit),
		cmocka_unit_test(every_piece_comes_back_and_every_name_is_the_name_of_its_piece),
		cmocka_unit_test(rsyncs_temporary_names_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
