/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables of configuration keys, and the readers of their values. */
#include "fs/config_keys.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KIB ((uint64_t)1024)
#define MIB (KIB * KIB)
#define GIB (MIB * KIB)

static bool parse_number(const char *text, int base, uint64_t *out)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false; /* strtoull takes signs and blanks */
	errno = 0;
	*out = strtoull(text, &end, base);
	return errno == 0 && *end == '\0';
}

bool config_parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	char *end;
	const char *unit;
	uint64_t n, step, factor = 1;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return false;
	while (*end == ' ')
		end++;
	if (*end && (unit = strchr(units, toupper((unsigned char)*end)))) {
		step = strcasecmp(end + 1, "B") == 0 ? 1000 : 1024;
		if (end[1] && strcasecmp(end + 1, "B") && strcasecmp(end + 1, "iB"))
			return false;
		for (const char *u = units; u <= unit; u++)
			factor *= step;
	} else if (*end && strcasecmp(end, "B")) {
		return false;
	}
	return !__builtin_mul_overflow(n, factor, bytes);
}

/* --------------------------------------------------------------------------------------------------- setters */

static void *field(const struct config_key *key, void *target)
{
	return (char *)target + key->offset;
}

static bool set_text(const struct config_key *key, void *target, const char *value)
{
	char **text = field(key, target), *copy;

	if (!*value || !(copy = strdup(value)))
		return false;
	if (*text && key->secret)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = copy;
	return true;
}

/* A prefix always ends with the slash that divides it from what is in it. */
static bool set_prefix(const struct config_key *key, void *target, const char *value)
{
	char **text = field(key, target), *copy;
	size_t len = strlen(value);
	const char *slash = len && value[len - 1] != '/' ? "/" : "";

	if (asprintf(&copy, "%s%s", value, slash) < 0)
		return false;
	free(*text);
	*text = copy;
	return true;
}

static bool parse_bool(const char *value, bool *out)
{
	static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false", "off", "0"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
		if (strcasecmp(value, yes[i]) == 0 || strcasecmp(value, no[i]) == 0) {
			*out = strcasecmp(value, yes[i]) == 0;
			return true;
		}
	}
	return false;
}

static bool set_bool(const struct config_key *key, void *target, const char *value)
{
	return parse_bool(value, field(key, target));
}

static bool set_path_style(const struct config_key *key, void *target, const char *value)
{
	int *style = field(key, target);
	bool on;

	if (strcasecmp(value, "auto") == 0) {
		*style = -1;
		return true;
	}
	if (!parse_bool(value, &on))
		return false;
	*style = on;
	return true;
}

static bool set_unsigned(const struct config_key *key, void *target, const char *value)
{
	uint64_t n;

	if (!parse_number(value, 10, &n) || n < key->min || n > key->max)
		return false;
	*(unsigned *)field(key, target) = (unsigned)n;
	return true;
}

/* 0 says "by default" to whoever uses the size, so it passes below the minimum. */
static bool set_size(const struct config_key *key, void *target, const char *value)
{
	uint64_t n;

	if (!config_parse_size(value, &n) || (n && n < key->min) || n > key->max)
		return false;
	*(uint64_t *)field(key, target) = n;
	return true;
}

/* Seconds, with decimals if one likes, kept as milliseconds. */
static bool set_seconds(const struct config_key *key, void *target, const char *value)
{
	char *end;
	double seconds;

	if (!isdigit((unsigned char)value[0]))
		return false;
	seconds = strtod(value, &end);
	if (strcmp(end, "s") == 0)
		end++;
	if (*end || !(seconds <= (double)key->max))
		return false;
	*(int64_t *)field(key, target) = (int64_t)(seconds * 1000 + 0.5);
	return true;
}

static bool parse_mode(const char *value, mode_t *mode)
{
	uint64_t n;

	if (!parse_number(value, 8, &n) || n > 0777)
		return false;
	*mode = (mode_t)n;
	return true;
}

static bool set_mode(const struct config_key *key, void *target, const char *value)
{
	return parse_mode(value, field(key, target));
}

static bool set_umask(const struct config_key *key, void *target, const char *value)
{
	struct config *c = target;
	mode_t mask;

	if (!parse_mode(value, &mask))
		return false;
	if (strcmp(key->name, "dmask"))
		c->file_mode = 0666 & ~mask;
	if (strcmp(key->name, "fmask"))
		c->dir_mode = 0777 & ~mask;
	return true;
}

/* The id -1 means "leave it" to chown(2), so nobody has it. */
static bool set_uid(const struct config_key *key, void *target, const char *value)
{
	const struct passwd *pw;
	uint64_t n;

	if (!parse_number(value, 10, &n)) {
		pw = getpwnam(value);
		if (!pw)
			return false;
		n = pw->pw_uid;
	}
	if (n >= UINT32_MAX)
		return false;
	*(uid_t *)field(key, target) = (uid_t)n;
	return true;
}

static bool set_gid(const struct config_key *key, void *target, const char *value)
{
	const struct group *gr;
	uint64_t n;

	if (!parse_number(value, 10, &n)) {
		gr = getgrnam(value);
		if (!gr)
			return false;
		n = gr->gr_gid;
	}
	if (n >= UINT32_MAX)
		return false;
	*(gid_t *)field(key, target) = (gid_t)n;
	return true;
}

static bool set_writeback(const struct config_key *key, void *target, const char *value)
{
	enum writeback *w = field(key, target);

	for (enum writeback i = WRITEBACK_NONE; i <= WRITEBACK_ALL; i++) {
		if (strcmp(value, writeback_name(i)) == 0) {
			*w = i;
			return true;
		}
	}
	return false;
}

/* ---------------------------------------------------------------------------------------------------- tables */

#define YES_NO   "yes or no"
#define OCTAL    "an octal mode such as 0644"
#define E(field) .offset = offsetof(struct config, field)
#define B(field) .offset = offsetof(struct config_bucket, field)

const struct config_key config_engine_keys[] = {
	{"writeback", set_writeback, "none or all", E(writeback)},
	{"memory_limit", set_size, "a size of at least 32M, such as 64M or 1GiB", E(memory_limit_bytes),
	 .min = SCHED_MEMORY_MIN_BYTES, .max = UINT64_MAX},
	{"priority_queues", set_bool, YES_NO, E(priority_queues)},
	{"dynamic_memory", set_bool, YES_NO, E(dynamic_memory)},
	{"streaming_optimizer", set_bool, YES_NO, E(streaming_optimizer)},
	{"network_monitor", set_bool, YES_NO, E(network_monitor)},
	{"medium_from", set_size, "a size, such as 1MB", E(medium_from_bytes), .min = 1, .max = GIB},
	{"low_from", set_size, "a size, such as 100MB", E(low_from_bytes), .min = 1, .max = GIB * 1024},
	{"concurrency", set_unsigned, "a number from 1 to 512", E(concurrency), .min = 1, .max = 512},
	{"chunk_workers", set_unsigned, "a number from 1 to 256", E(chunk_workers), .min = 1, .max = 256},
	{"part_size", set_size, "a size from 5MiB to 5GiB", E(part_size_bytes), .min = 5 * MIB, .max = 5 * GIB},
	{"metadata_ttl", set_seconds, "a number of seconds, such as 5 or 0.5", E(metadata_ttl_ms), .max = 31536000},
	{"readahead", set_size, "a size of at most 1GiB, such as 16M", E(readahead_bytes), .max = GIB},
	{"log_file", set_text, "the name of a file", E(log_file)},
	{"uid", set_uid, "a user's name or number", E(uid)},
	{"gid", set_gid, "a group's name or number", E(gid)},
	{"umask", set_umask, OCTAL, .offset = 0},
	{"fmask", set_umask, OCTAL, .offset = 0},
	{"dmask", set_umask, OCTAL, .offset = 0},
	{"file_mode", set_mode, OCTAL, E(file_mode)},
	{"dir_mode", set_mode, OCTAL, E(dir_mode)},
	{"allow_other", set_bool, YES_NO, E(allow_other)},
	{"allow_root", set_bool, YES_NO, E(allow_root)},
	{"readonly", set_bool, YES_NO, E(readonly)},
	{"noexec", set_bool, YES_NO, E(noexec)},
	{"debug", set_bool, YES_NO, E(debug)},
	{"fsname", set_text, "a name", E(fsname)},
	{.name = NULL},
};

const struct config_key config_bucket_keys[] = {
	{"bucket", set_text, "the name of a bucket", B(bucket)},
	{"prefix", set_prefix, "the beginning of keys, such as photos/2024", B(prefix)},
	{"endpoint", set_text, "a URL such as https://s3.example.com", B(endpoint)},
	{"region", set_text, "a region such as eu-central-1", B(region)},
	{"profile", set_text, "the name of a profile", B(profile)},
	{"access_key_id", set_text, "a key id", B(access_key_id)},
	{"secret_access_key", set_text, "a secret key", B(secret_access_key), .secret = true},
	{"session_token", set_text, "a token", B(session_token), .secret = true},
	{"ca_file", set_text, "the name of a PEM file", B(ca_file)},
	{"path_style", set_path_style, "yes, no or auto", B(path_style)},
	{"readonly", set_bool, YES_NO, B(readonly)},
	{.name = NULL},
};

/* --------------------------------------------------------------------------------------------------- look-up */

const struct config_key *config_key_find(const struct config_key *keys, const char *name)
{
	for (; keys->name; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

bool config_key_is_flag(const struct config_key *key)
{
	return key->set == set_bool;
}

#define NAME_MAX_BYTES 32 /* longer than every key */

/* Levenshtein distance, one row at a time. */
static unsigned edit_distance(const char *a, const char *b)
{
	unsigned row[NAME_MAX_BYTES + 1], diagonal, above, cost;
	size_t lb = strlen(b);

	for (size_t j = 0; j <= lb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; a[i - 1]; i++) {
		diagonal = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			above = row[j];
			cost = diagonal + (a[i - 1] != b[j - 1] && !(a[i - 1] == '-' && b[j - 1] == '_'));
			if (row[j - 1] + 1 < cost)
				cost = row[j - 1] + 1;
			if (above + 1 < cost)
				cost = above + 1;
			row[j] = cost;
			diagonal = above;
		}
	}
	return row[lb];
}

const char *config_key_suggest(const struct config_key *keys, const char *name)
{
	const char *best = NULL;
	unsigned distance, least = 3; /* more than two slips is another word */
	size_t len = strlen(name);

	if (len > NAME_MAX_BYTES)
		return NULL;
	for (; keys->name; keys++) {
		distance = edit_distance(name, keys->name);
		if (distance < least && distance < len) {
			least = distance;
			best = keys->name;
		}
	}
	return best;
}

int config_key_set(const struct config_key *keys, void *target, const char *name, const char *value,
		   const struct config_place *place, char *err, size_t err_size)
{
	const struct config_key *key = config_key_find(keys, name);
	const char *suggestion, *in = place->section ? " in " : "", *section = place->section ? place->section : "";

	if (!key) {
		suggestion = config_key_suggest(keys, name);
		snprintf(err, err_size, "%sunknown %s \"%s\"%s%s%s%s%s", place->where, place->kind, name, in, section,
			 suggestion ? " (did you mean \"" : "", suggestion ? suggestion : "", suggestion ? "\"?)" : "");
		return -1;
	}
	if (!key->set(key, target, value)) {
		snprintf(err, err_size, "%s%s%s%s is \"%s\": expected %s", place->where, name, in, section,
			 key->secret ? "..." : value, key->expected);
		return -1;
	}
	return 0;
}
