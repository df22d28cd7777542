/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The config file: INI with a section per bucket and [s3bridge] for the engine.
 *
 *   # or ; begin a comment line      [photos]       key = value
 *
 * Read here rather than with libinih, which cuts section names at 49 bytes and lines at 200 without a word: a bucket's
 * name may have 63 and a session token many hundred. A value is everything to the end of its line, so '#' and ';' may
 * stand in it. */
#include "fs/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/config_keys.h"
#include "s3/base/cleanup.h"

#define ENGINE_SECTION "s3bridge"

struct reader {
	struct config *config;
	const char *path;
	unsigned line;
	char where[512];              /* "PATH:LINE: " */
	char section[300];            /* "[name]", "" before the first */
	struct config_bucket *bucket; /* NULL in the engine's section */
	const char *secret;           /* the first secret key that was seen */
	char *err;
	size_t err_size;
};

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return s;
}

static int end_section(struct reader *r)
{
	if (!r->bucket || r->bucket->bucket)
		return 0;
	snprintf(r->err, r->err_size, "%s[%s] does not say which bucket it is: add \"bucket = NAME\"", r->where,
		 r->bucket->name);
	return -1;
}

static int begin_section(struct reader *r, char *text)
{
	char *close = strrchr(text, ']'), *name;

	if (end_section(r) < 0)
		return -1;
	if (!close || close[1]) {
		snprintf(r->err, r->err_size, "%sa section is written as [NAME]", r->where);
		return -1;
	}
	*close = '\0';
	name = trim(text + 1);
	r->bucket = NULL;
	if (strcmp(name, ENGINE_SECTION)) {
		r->bucket = config_bucket_add(r->config, name, r->where, r->err, r->err_size);
		if (!r->bucket)
			return -1;
	}
	snprintf(r->section, sizeof(r->section), "[%s]", name);
	return 0;
}

static int read_entry(struct reader *r, char *text)
{
	const struct config_key *keys = r->bucket ? config_bucket_keys : config_engine_keys, *key;
	struct config_place place = {r->where, "key", r->section};
	char *equals = strchr(text, '='), *name;

	if (!equals) {
		snprintf(r->err, r->err_size, "%sexpected \"key = value\" or \"[NAME]\"", r->where);
		return -1;
	}
	if (!r->section[0]) {
		snprintf(r->err, r->err_size,
			 "%sa key before the first section: write [NAME] or [" ENGINE_SECTION "] above it", r->where);
		return -1;
	}
	*equals = '\0';
	name = trim(text);
	key = config_key_find(keys, name);
	if (key && key->secret && !r->secret)
		r->secret = key->name;
	return config_key_set(keys, r->bucket ? (void *)r->bucket : (void *)r->config, name, trim(equals + 1), &place,
			      r->err, r->err_size);
}

static int read_line(struct reader *r, char *line)
{
	char *text;

	if (r->line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0)
		line += 3; /* a byte order mark */
	text = trim(line);
	snprintf(r->where, sizeof(r->where), "%s:%u: ", r->path, r->line);
	if (!*text || *text == '#' || *text == ';')
		return 0;
	return *text == '[' ? begin_section(r, text) : read_entry(r, text);
}

static int read_lines(struct reader *r, FILE *f)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int ret = 0;

	while (ret == 0 && (len = getline(&line, &size, f)) >= 0) {
		r->line++;
		if (strlen(line) != (size_t)len) {
			snprintf(r->err, r->err_size, "%s:%u: a zero byte: this is no text file", r->path, r->line);
			ret = -1;
		} else {
			ret = read_line(r, line);
		}
	}
	if (ret == 0 && ferror(f)) {
		snprintf(r->err, r->err_size, "cannot read %s: %s", r->path, strerror(errno));
		ret = -1;
	}
	if (line)
		explicit_bzero(line, size);
	free(line);
	return ret == 0 ? end_section(r) : ret;
}

int config_read_file(struct config *c, const char *path, char *err, size_t err_size)
{
	struct reader r = {.config = c, .path = path, .err = err, .err_size = err_size};
	CLEANUP_FCLOSE FILE *f = fopen(path, "re");
	struct stat st;

	if (!f || fstat(fileno(f), &st) < 0) {
		snprintf(err, err_size, "cannot read the config file %s: %s", path, strerror(errno));
		return -1;
	}
	if (S_ISDIR(st.st_mode)) {
		snprintf(err, err_size, "the config file %s is a directory", path);
		return -1;
	}
	if (read_lines(&r, f) < 0)
		return -1;
	if (r.secret && (st.st_mode & 077)) {
		snprintf(err, err_size, "%s holds a %s and others can read it: chmod 600 %s", path, r.secret, path);
		return -1;
	}
	return 0;
}
