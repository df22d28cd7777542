/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What stands on the command line: NAME=s3://BUCKET[/PREFIX][?key=value&...] and the text after -o. */
#include "fs/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/config_keys.h"
#include "s3/base/cleanup.h"
#include "s3/uri.h"

#define SCHEME "s3://"

static int decode(char *text, const char *arg, char *err, size_t err_size)
{
	if (uri_decode(text, false))
		return 0;
	snprintf(err, err_size, "%s: a %% must begin an escape such as %%2F (%%25 is the %% itself)", arg);
	return -1;
}

static int set_query_value(struct config_bucket *b, char *pair, const char *arg, char *err, size_t err_size)
{
	struct config_place place = {"", "key", b->name};
	const struct config_key *key;
	char *equals = strchr(pair, '=');

	if (!equals) {
		snprintf(err, err_size, "%s: after the ? come key=value pairs, divided by &", b->name);
		return -1;
	}
	*equals = '\0';
	key = config_key_find(config_bucket_keys, pair);
	if (key && key->secret) {
		snprintf(err, err_size,
			 "%s: %s does not belong on a command line, where everybody can see it: put it into a config "
			 "file (-c FILE, "
			 "chmod 600), an AWS profile or the AWS_ environment variables",
			 b->name, pair);
		return -1;
	}
	if (strcmp(pair, "bucket") == 0 || strcmp(pair, "prefix") == 0) {
		snprintf(err, err_size, "%s: the %s is written before the ?: %s=" SCHEME "BUCKET/PREFIX", b->name, pair,
			 b->name);
		return -1;
	}
	if (decode(equals + 1, arg, err, err_size) < 0)
		return -1;
	return config_key_set(config_bucket_keys, b, pair, equals + 1, &place, err, err_size);
}

static int set_bucket(struct config_bucket *b, char *text, const char *arg, char *err, size_t err_size)
{
	struct config_place place = {"", "key", b->name};
	char *prefix = strchr(text, '/');

	if (prefix)
		*prefix++ = '\0';
	if (!*text) {
		snprintf(err, err_size, "%s: no bucket named: write %s=" SCHEME "BUCKET", arg, b->name);
		return -1;
	}
	if (decode(text, arg, err, err_size) < 0 ||
	    config_key_set(config_bucket_keys, b, "bucket", text, &place, err, err_size) < 0)
		return -1;
	if (!prefix)
		return 0;
	if (decode(prefix, arg, err, err_size) < 0)
		return -1;
	return config_key_set(config_bucket_keys, b, "prefix", prefix, &place, err, err_size);
}

int config_add_argument(struct config *c, const char *arg, char *err, size_t err_size)
{
	CLEANUP_FREE char *copy = strdup(arg);
	char *url = copy ? strstr(copy, "=" SCHEME) : NULL, *query, *save = NULL;
	struct config_bucket *b;

	if (!copy) {
		snprintf(err, err_size, "out of memory");
		return -1;
	}
	if (!url || url == copy) {
		snprintf(err, err_size, "\"%s\" is no bucket: write NAME=" SCHEME "BUCKET[/PREFIX]", arg);
		return -1;
	}
	*url = '\0';
	url += 1 + strlen(SCHEME);
	b = config_bucket_add(c, copy, "", err, err_size);
	if (!b)
		return -1;
	query = strchr(url, '?');
	if (query)
		*query++ = '\0';
	if (set_bucket(b, url, arg, err, err_size) < 0)
		return -1;
	for (char *pair = query ? strtok_r(query, "&", &save) : NULL; pair; pair = strtok_r(NULL, "&", &save))
		if (set_query_value(b, pair, arg, err, err_size) < 0)
			return -1;
	return 0;
}

/* ------------------------------------------------------------------------------------------------------- -o */

/* What mount(8) hands to every file system and means nothing here: the mount is always nosuid and nodev, keeps no
 * access times, and whatever fstab says about when and by whom to mount is not ours. */
static bool is_generic(const char *option)
{
	static const char *const names[] = {
		"defaults",
		"dev",
		"nodev",
		"suid",
		"nosuid",
		"exec",
		"atime",
		"noatime",
		"diratime",
		"nodiratime",
		"relatime",
		"norelatime",
		"strictatime",
		"nostrictatime",
		"lazytime",
		"nolazytime",
		"async",
		"auto",
		"noauto",
		"user",
		"nouser",
		"users",
		"nousers",
		"owner",
		"group",
		"_netdev",
		"nofail",
		"silent",
		"loud",
		"nonempty",
		"default_permissions",
	};
	static const char *const prefixes[] = {"x-", "X-", "comment=", "user=", "subtype="};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(option, names[i]) == 0)
			return true;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (strncmp(option, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static int set_option(struct config *c, char *option, char *err, size_t err_size)
{
	struct config_place place = {"", "mount option", NULL};
	const struct config_key *key;
	char *equals = strchr(option, '=');
	const char *value = equals ? equals + 1 : "yes";

	if (!*option || is_generic(option))
		return 0;
	if (strcmp(option, "ro") == 0 || strcmp(option, "rw") == 0) {
		c->readonly = strcmp(option, "ro") == 0;
		return 0;
	}
	if (equals)
		*equals = '\0';
	key = config_key_find(config_engine_keys, option);
	if (key && !equals && !config_key_is_flag(key)) {
		snprintf(err, err_size, "mount option %s needs a value: expected %s", option, key->expected);
		return -1;
	}
	return config_key_set(config_engine_keys, c, option, value, &place, err, err_size);
}

/* Cuts the next option off *REST; "\," and "\\" stand for a comma and a backslash, as in every FUSE file system. */
static char *next_option(char **rest)
{
	char *start = *rest, *out = start, *in = start;

	while (*in && *in != ',') {
		if (*in == '\\' && in[1])
			in++;
		*out++ = *in++;
	}
	*rest = *in ? in + 1 : NULL;
	*out = '\0';
	return start;
}

int config_add_options(struct config *c, const char *opts, char *err, size_t err_size)
{
	CLEANUP_FREE char *copy = strdup(opts);
	char *rest = copy;

	if (!copy) {
		snprintf(err, err_size, "out of memory");
		return -1;
	}
	while (rest)
		if (set_option(c, next_option(&rest), err, err_size) < 0)
			return -1;
	return 0;
}
