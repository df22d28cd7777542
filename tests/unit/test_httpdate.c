/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tests of s3/httpdate.c. */
#include "s3/httpdate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void http_dates_are_read(void **state)
{
	static const struct {
		const char *text;
		time_t seconds;
	} cases[] = {
		{"Thu, 01 Jan 1970 00:00:00 GMT", 0},
		{"Wed, 21 Oct 2015 07:28:00 GMT", 1445412480},
		{"Thu, 29 Feb 2024 23:59:59 GMT", 1709251199},
		{"Sun, 07 Feb 2106 06:28:16 GMT", 4294967296},
	};
	time_t t;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(httpdate_parse(cases[i].text, &t));
		assert_true(t == cases[i].seconds);
	}
}

static void what_is_no_http_date_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"120",
		"Wed",
		"Wed,",
		"Wed, 21 Oct 2015 07:28:00",
		"Wed, 21 Oct 2015 07:28:00 PST",
		"Wed, 21 Oct 2015 07:28:00 GMT ",
		"Wed, 21 Okt 2015 07:28:00 GMT",
		"Wed, 00 Oct 2015 07:28:00 GMT",
		"Wed, 32 Oct 2015 07:28:00 GMT",
		"Wed, 21 Oct 2015 24:28:00 GMT",
		"Wed, 21 Oct 2015 07:60:00 GMT",
		"Wed, 21 Oct 15 07:28:00 GMT",
		"Wed, 21 J",
	};
	time_t t = 42;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_false(httpdate_parse(cases[i], &t));
	assert_true(t == 42);
}

static void iso_dates_are_read_with_and_without_fraction_and_zone(void **state)
{
	static const struct {
		const char *text;
		time_t seconds;
		long nsec;
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0, 0},
		{"2009-10-12T17:50:30.000Z", 1255369830, 0},
		{"2009-10-12T17:50:30.25Z", 1255369830, 250000000},
		{"2009-10-12T17:50:30.123456789Z", 1255369830, 123456789},
		{"2009-10-12T17:50:30.1234567891234Z", 1255369830, 123456789},
		{"2009-10-12T19:50:30+02:00", 1255369830, 0},
		{"2009-10-12T17:20:30.5-00:30", 1255369830, 500000000},
	};
	struct timespec ts;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(httpdate_parse_iso8601(cases[i].text, &ts));
		assert_true(ts.tv_sec == cases[i].seconds);
		assert_true(ts.tv_nsec == cases[i].nsec);
	}
}

static void what_is_no_iso_date_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"2009",
		"2009-10-12",
		"2009-10-12T17:50:30",
		"2009-10-12T17:50:30.Z",
		"2009-13-12T17:50:30Z",
		"2009-10-12T17:50:30Zx",
		"2009-10-12 17:50:30Z",
		"2009-10-12T17:50:30+2",
		"2009-10-12T17:50:30+99:00",
	};
	struct timespec ts = {.tv_sec = 42};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_false(httpdate_parse_iso8601(cases[i], &ts));
	assert_true(ts.tv_sec == 42);
}

static void days_agree_with_the_c_library_over_two_centuries(void **state)
{
	char text[64];
	struct timespec ts;

	for (time_t t = 43200; t < (time_t)200 * 366 * 86400; t += 86400) {
		struct tm tm;

		gmtime_r(&t, &tm);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
		assert_true(httpdate_parse_iso8601(text, &ts));
		assert_true(ts.tv_sec == t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(http_dates_are_read),
		cmocka_unit_test(what_is_no_http_date_is_refused),
		cmocka_unit_test(iso_dates_are_read_with_and_without_fraction_and_zone),
		cmocka_unit_test(what_is_no_iso_date_is_refused),
		cmocka_unit_test(days_agree_with_the_c_library_over_two_centuries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
