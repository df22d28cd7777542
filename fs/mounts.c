/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading the table of mounts. */
#include "fs/mounts.h"

#include <stdlib.h>
#include <string.h>

#include "s3/base/cleanup.h"

void mount_clear(struct mount *m)
{
	free(m->point);
	free(m->type);
	*m = (struct mount){0};
}

/* Blanks, newlines and backslashes stand as \ooo in the table. In place. */
static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

/* "ID PARENT MAJ:MIN ROOT POINT OPTIONS [TAGS...] - TYPE SOURCE SUPEROPTIONS"; see proc(5). */
static bool split(char *line, char **point, char **type)
{
	char *save = NULL, *word = strtok_r(line, " ", &save);

	for (int i = 0; word && i < 4; i++)
		word = strtok_r(NULL, " ", &save);
	*point = word;
	while (word && strcmp(word, "-"))
		word = strtok_r(NULL, " ", &save);
	*type = word ? strtok_r(NULL, " \n", &save) : NULL;
	if (!*type)
		return false;
	unescape(*point);
	unescape(*type);
	return true;
}

static bool is_below(const char *path, const char *point)
{
	size_t len = strlen(point);

	if (strcmp(point, "/") == 0)
		return true;
	return strncmp(path, point, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

bool mounts_search(FILE *f, const char *path, struct mount *out)
{
	CLEANUP_FREE char *line = NULL;
	size_t size = 0, best = 0;
	char *point, *type;

	while (getline(&line, &size, f) > 0) {
		if (!split(line, &point, &type) || !is_below(path, point) || strlen(point) < best)
			continue;
		best = strlen(point);
		mount_clear(out);
		*out = (struct mount){.point = strdup(point), .type = strdup(type)};
	}
	if (out->point && out->type)
		return true;
	mount_clear(out);
	return false;
}

bool mounts_of(const char *path, struct mount *out)
{
	CLEANUP_FCLOSE FILE *f = fopen("/proc/self/mountinfo", "re");

	return f && mounts_search(f, path, out);
}

bool mounts_at(const char *path, struct mount *out)
{
	if (mounts_of(path, out) && strcmp(out->point, path) == 0)
		return true;
	mount_clear(out);
	return false;
}
