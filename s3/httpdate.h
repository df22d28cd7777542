/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dates as HTTP and S3 write them. Pure; no time zone, no locale. */
#ifndef S3B_HTTPDATE_H
#define S3B_HTTPDATE_H

#include <stdbool.h>
#include <time.h>

/* "Wed, 21 Oct 2015 07:28:00 GMT" (RFC 7231 IMF-fixdate). False, with OUT untouched, when S is anything else. */
bool httpdate_parse(const char *s, time_t *out);

/* "2009-10-12T17:50:30.000Z": the fraction may be missing or have up to 9 digits, the zone may be +hh:mm. */
bool httpdate_parse_iso8601(const char *s, struct timespec *out);

#endif
