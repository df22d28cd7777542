/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads the two kinds of dates that S3 answers carry. strptime(3) is not used: it depends on the locale. */
#include "s3/httpdate.h"

#include <stdint.h>
#include <string.h>

/* Days since 1970-01-01 in the proleptic Gregorian calendar; years are counted from March, so that the leap day is the
 * last of its year. */
static int64_t days_since_epoch(unsigned year, unsigned month, unsigned day)
{
	int64_t y = month > 2 ? year : (int64_t)year - 1;
	int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

	return 365 * y + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

static bool read_digits(const char **p, unsigned count, unsigned *out)
{
	unsigned value = 0;

	for (unsigned i = 0; i < count; i++) {
		char c = (*p)[i];

		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (unsigned)(c - '0');
	}
	*p += count;
	*out = value;
	return true;
}

static bool read_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static bool read_clock(const char **p, unsigned *seconds)
{
	unsigned h, m, s;

	if (!read_digits(p, 2, &h) || !read_char(p, ':') || !read_digits(p, 2, &m) || !read_char(p, ':') ||
	    !read_digits(p, 2, &s) || h > 23 || m > 59 || s > 60)
		return false;
	*seconds = h * 3600 + m * 60 + s;
	return true;
}

static bool is_date(unsigned year, unsigned month, unsigned day)
{
	return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

bool httpdate_parse(const char *s, time_t *out)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	unsigned day, month, year, seconds;
	const char *comma = strchr(s, ',');
	const char *p = comma ? comma + 1 : s;

	if (!comma || !read_char(&p, ' ') || !read_digits(&p, 2, &day) || !read_char(&p, ' '))
		return false;
	for (month = 1; month <= 12; month++)
		if (!strncmp(p, months + 3 * (month - 1), 3))
			break;
	if (month > 12)
		return false;
	p += 3;
	if (!read_char(&p, ' ') || !read_digits(&p, 4, &year) || !read_char(&p, ' ') || !read_clock(&p, &seconds) ||
	    strcmp(p, " GMT") || !is_date(year, month, day))
		return false;
	*out = (time_t)(days_since_epoch(year, month, day) * 86400 + seconds);
	return true;
}

static bool read_fraction(const char **p, long *nsec)
{
	long value = 0, unit = 100000000;

	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
		value += (**p - '0') * unit;
	*nsec = value;
	return true;
}

static bool read_zone(const char **p, int64_t *offset_s)
{
	unsigned h, m;
	int sign = **p == '-' ? -1 : 1;

	*offset_s = 0;
	if (read_char(p, 'Z'))
		return true;
	if (!read_char(p, '+') && !read_char(p, '-'))
		return false;
	if (!read_digits(p, 2, &h) || !read_char(p, ':') || !read_digits(p, 2, &m) || h > 23 || m > 59)
		return false;
	*offset_s = sign * (int64_t)(h * 3600 + m * 60);
	return true;
}

bool httpdate_parse_iso8601(const char *s, struct timespec *out)
{
	unsigned year, month, day, seconds;
	int64_t offset_s;
	long nsec = 0;
	const char *p = s;

	if (!read_digits(&p, 4, &year) || !read_char(&p, '-') || !read_digits(&p, 2, &month) || !read_char(&p, '-') ||
	    !read_digits(&p, 2, &day) || !read_char(&p, 'T') || !read_clock(&p, &seconds) || !is_date(year, month, day))
		return false;
	if (read_char(&p, '.') && !read_fraction(&p, &nsec))
		return false;
	if (!read_zone(&p, &offset_s) || *p)
		return false;
	out->tv_sec = (time_t)(days_since_epoch(year, month, day) * 86400 + seconds - offset_s);
	out->tv_nsec = nsec;
	return true;
}
