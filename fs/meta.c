/* SPDX-License-Identifier: GPL-3.0-or-later */
/* POSIX attributes in object metadata. What is read, in this order; the first that makes sense counts:
 *
 *   x-amz-meta-            mode              uid         gid         mtime
 *   s3bridge               0100644           1000        1000        1700000000 or 1700000000.123456789
 *   s3fs, geesefs          33188             the same                the same
 *   rclone                 100644 (-M)       the same                1700000000.123 (zeros cut)
 *   AWS DataSync, FSx      file-permissions  file-owner  file-group  file-mtime: 1700000000123456789ns
 *                          0100664
 *   gcsfuse                                                          gcsfuse_mtime: 2023-11-14T22:13:20.5Z
 *   s3cmd, mc              s3cmd-attrs, mc-attrs: atime:S#ns/gid:N/gname:G/mode:33188/mtime:S#ns/uid:N/uname:U
 *
 * A fraction is a decimal fraction and the sign belongs to the whole number: -1.5 is half a second before -1. */
#include "fs/meta.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/base/strbuf.h"
#include "s3/httpdate.h"

#define META "x-amz-meta-"
#define NSEC_PER_SEC 1000000000L
/* The years 1 to 9999; what lies outside is no time of a file. */
#define MTIME_MIN INT64_C(-62135596800)
#define MTIME_MAX INT64_C(253402300799)

enum attr {
	ATTR_MODE,
	ATTR_UID,
	ATTR_GID,
	ATTR_MTIME,
};

static const char *const composites[] = {META "s3cmd-attrs", META "mc-attrs"};
#define COMPOSITE_COUNT (sizeof(composites) / sizeof(composites[0]))

/* ------------------------------------------------------------------------------------------------ numbers */

/* All of S, digits of BASE only. */
static bool parse_number(const char *s, int base, uint64_t max, uint64_t *out)
{
	char *end;
	unsigned long long v;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	v = strtoull(s, &end, base);
	if (errno || *end || v > max)
		return false;
	*out = v;
	return true;
}

static bool is_honoured_type(uint64_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode);
}

static bool is_known_type(uint64_t mode)
{
	return is_honoured_type(mode) || S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode);
}

/* Octal and decimal are told apart by the type bits, which make sense in one of them only, with one exception: 40960 to
 * 41777 may be a sticky directory in octal and a symlink in decimal, but every symlink is 0777. */
static bool parse_mode(const char *s, mode_t *out)
{
	uint64_t octal = 0, decimal = 0, mode;
	bool is_octal = parse_number(s, 8, 0177777, &octal);
	bool is_decimal = s[0] != '0' && parse_number(s, 10, 0177777, &decimal);

	if (is_decimal && is_octal && S_ISLNK(decimal) && S_ISDIR(octal) && (decimal & 07777) != 0777)
		is_decimal = false;
	if (is_decimal && is_known_type(decimal))
		mode = decimal;
	else if (is_octal && (is_known_type(octal) || octal <= 07777))
		mode = octal;
	else if (is_decimal && decimal <= 07777)
		mode = decimal;
	else
		return false;
	/* Who can write the bucket must not make programs run as somebody else, nor devices. */
	*out = (mode_t)(mode & 01777);
	if (is_honoured_type(mode))
		*out |= (mode_t)(mode & S_IFMT);
	return true;
}

static bool parse_id(const char *s, uint32_t *out)
{
	uint64_t v;

	if (!parse_number(s, 10, UINT32_MAX - 1, &v)) /* the last means "leave it" to chown */
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool set_time(struct timespec *out, bool negative, uint64_t whole, long nsec)
{
	int64_t sec;

	if (whole > (uint64_t)MTIME_MAX)
		return false;
	sec = negative ? -(int64_t)whole : (int64_t)whole;
	if (negative && nsec) {
		sec--;
		nsec = NSEC_PER_SEC - nsec;
	}
	if (sec < MTIME_MIN)
		return false;
	out->tv_sec = (time_t)sec;
	out->tv_nsec = nsec;
	return true;
}

/* UINT64_MAX when there are too many. */
static uint64_t read_digits(const char **p)
{
	uint64_t v = 0;

	for (; **p >= '0' && **p <= '9'; (*p)++) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, **p - '0', &v))
			v = UINT64_MAX; /* stays: times ten overflows again */
	}
	return v;
}

/* "S", "S.F" and, as mc writes, "S#ns". */
static bool parse_seconds(const char *s, struct timespec *out)
{
	bool negative = *s == '-';
	const char *p = s + negative;
	long nsec = 0, unit = NSEC_PER_SEC / 10;
	uint64_t whole, count;

	if (*p < '0' || *p > '9')
		return false;
	whole = read_digits(&p);
	if (*p == '#') {
		p++;
		if (*p < '0' || *p > '9')
			return false;
		count = read_digits(&p);
		if (*p || count >= NSEC_PER_SEC || !set_time(out, negative, whole, 0))
			return false;
		out->tv_nsec = (long)count; /* of a timespec: counts upwards before 1970 too */
		return true;
	}
	if (*p == '.') {
		for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
			nsec += (*p - '0') * unit;
	}
	return !*p && set_time(out, negative, whole, nsec);
}

static bool parse_nanoseconds(const char *s, struct timespec *out)
{
	bool negative = *s == '-';
	const char *p = s + negative;
	uint64_t ns;

	if (*p < '0' || *p > '9')
		return false;
	ns = read_digits(&p);
	if (ns == UINT64_MAX || (*p && strcmp(p, "ns") != 0))
		return false;
	return set_time(out, negative, ns / NSEC_PER_SEC, (long)(ns % NSEC_PER_SEC));
}

static bool parse_rfc3339(const char *s, struct timespec *out)
{
	return httpdate_parse_iso8601(s, out);
}

/* ------------------------------------------------------------------------------------------------- reading */

/* Takes VALUE as WHAT; false when it makes no sense. */
static bool take(struct meta_attr *out, enum attr what, const char *value,
		 bool (*parse_time)(const char *s, struct timespec *out))
{
	switch (what) {
	case ATTR_MODE:
		return out->has_mode = parse_mode(value, &out->mode);
	case ATTR_UID:
		return out->has_uid = parse_id(value, &out->uid);
	case ATTR_GID:
		return out->has_gid = parse_id(value, &out->gid);
	case ATTR_MTIME:
		return out->has_mtime = parse_time(value, &out->mtime);
	}
	return false;
}

static const struct {
	enum attr what;
	const char *header;
	bool (*parse_time)(const char *s, struct timespec *out);
} sources[] = {
	/* the first of each kind is what meta_encode writes */
	{ATTR_MODE, META "mode", NULL},
	{ATTR_MODE, META "file-permissions", NULL},
	{ATTR_UID, META "uid", NULL},
	{ATTR_UID, META "file-owner", NULL},
	{ATTR_GID, META "gid", NULL},
	{ATTR_GID, META "file-group", NULL},
	{ATTR_MTIME, META "mtime", parse_seconds},
	{ATTR_MTIME, META "mtime", parse_rfc3339},
	{ATTR_MTIME, META "file-mtime", parse_nanoseconds},
	{ATTR_MTIME, META "gcsfuse_mtime", parse_rfc3339},
};
#define SOURCE_COUNT (sizeof(sources) / sizeof(sources[0]))

static const struct {
	const char *field;
	enum attr what;
	bool is_name; /* says the same in words: removed with it, not read */
} fields[] = {
	{"mode", ATTR_MODE, false}, {"uid", ATTR_UID, false},	{"gid", ATTR_GID, false},
	{"mtime", ATTR_MTIME, false}, {"uname", ATTR_UID, true}, {"gname", ATTR_GID, true},
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static bool has(const struct meta_attr *attr, enum attr what)
{
	switch (what) {
	case ATTR_MODE:
		return attr->has_mode;
	case ATTR_UID:
		return attr->has_uid;
	case ATTR_GID:
		return attr->has_gid;
	case ATTR_MTIME:
		return attr->has_mtime;
	}
	return false;
}

/* Which of FIELDS does "name:value" (LEN bytes) set; -1: none. *VALUE: behind the colon. */
static int field_index(const char *s, size_t len, size_t *value)
{
	const char *colon = memchr(s, ':', len);
	size_t i;

	if (!colon)
		return -1;
	*value = (size_t)(colon - s) + 1;
	for (i = 0; i < FIELD_COUNT; i++) {
		if (strlen(fields[i].field) == *value - 1 && !memcmp(fields[i].field, s, *value - 1))
			return (int)i;
	}
	return -1;
}

static void decode_composite(const char *s, struct meta_attr *out)
{
	char text[64];
	size_t len, value;
	int i;

	for (;; s += len + 1) {
		len = strcspn(s, "/");
		i = field_index(s, len, &value);
		if (i >= 0 && !fields[i].is_name && !has(out, fields[i].what) && len - value < sizeof(text)) {
			memcpy(text, s + value, len - value);
			text[len - value] = '\0';
			take(out, fields[i].what, text, parse_seconds);
		}
		if (!s[len])
			return;
	}
}

void meta_decode(const struct s3_headers *headers, struct meta_attr *out)
{
	const char *value;
	size_t i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < SOURCE_COUNT; i++) {
		value = s3_headers_get(headers, sources[i].header);
		if (value && !has(out, sources[i].what))
			take(out, sources[i].what, value, sources[i].parse_time);
	}
	for (i = 0; i < COMPOSITE_COUNT; i++) {
		value = s3_headers_get(headers, composites[i]);
		if (value)
			decode_composite(value, out);
	}
}

/* ------------------------------------------------------------------------------------------------- writing */

/* Takes what ATTR sets out of a composite value; the rest stays as it is. */
static int strip_composite(struct s3_headers *headers, const char *name, const struct meta_attr *attr)
{
	CLEANUP_STRBUF struct strbuf rest = STRBUF_INIT;
	const char *s = s3_headers_get(headers, name);
	size_t len, value;
	int i;

	if (!s)
		return 0;
	for (;; s += len + 1) {
		len = strcspn(s, "/");
		i = field_index(s, len, &value);
		if (len && (i < 0 || !has(attr, fields[i].what))) {
			if (rest.len)
				strbuf_addch(&rest, '/');
			strbuf_add(&rest, s, len);
		}
		if (!s[len])
			break;
	}
	if (rest.failed)
		return -ENOMEM;
	return s3_headers_set(headers, name, rest.len ? rest.data : NULL);
}

static void format_mtime(char *buf, size_t size, const struct timespec *t)
{
	int64_t sec = t->tv_sec;
	long nsec = t->tv_nsec;

	if (!nsec)
		snprintf(buf, size, "%" PRId64, sec);
	else if (sec >= 0)
		snprintf(buf, size, "%" PRId64 ".%09ld", sec, nsec);
	else
		snprintf(buf, size, "-%" PRId64 ".%09ld", -(sec + 1), NSEC_PER_SEC - nsec);
}

static int set_number(struct s3_headers *headers, const char *name, const char *fmt, unsigned value)
{
	char buf[32];

	snprintf(buf, sizeof(buf), fmt, value);
	return s3_headers_set(headers, name, buf);
}

int meta_encode(struct s3_headers *headers, const struct meta_attr *attr)
{
	char buf[64];
	size_t i;
	int err = 0;

	for (i = 0; i < COMPOSITE_COUNT && !err; i++)
		err = strip_composite(headers, composites[i], attr);
	for (i = 0; i < SOURCE_COUNT && !err; i++) {
		if (has(attr, sources[i].what))
			err = s3_headers_set(headers, sources[i].header, NULL);
	}
	if (!err && attr->has_mode)
		err = set_number(headers, META "mode", "0%o", attr->mode);
	if (!err && attr->has_uid)
		err = set_number(headers, META "uid", "%u", attr->uid);
	if (!err && attr->has_gid)
		err = set_number(headers, META "gid", "%u", attr->gid);
	if (!err && attr->has_mtime) {
		format_mtime(buf, sizeof(buf), &attr->mtime);
		err = s3_headers_set(headers, META "mtime", buf);
	}
	return err;
}
