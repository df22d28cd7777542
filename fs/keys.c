/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of key pieces: what Linux cannot name is escaped, and every name has exactly one reading. */
#include "fs/keys.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

#define ESCAPE ".s3%"
#define ESCAPE_LEN (sizeof(ESCAPE) - 1)
#define OBJECT ".s3%="
#define OBJECT_LEN (sizeof(OBJECT) - 1)

#define TEMPORARY_RANDOM 6 /* rsync: the XXXXXX of mkstemp */

static bool is_dots(const char *s, size_t len)
{
	return (len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.');
}

static bool has_prefix(const char *s, size_t len, const char *prefix, size_t prefix_len)
{
	return len >= prefix_len && !memcmp(s, prefix, prefix_len);
}

static bool needs_escape(const char *piece, size_t len)
{
	return !len || is_dots(piece, len) || has_prefix(piece, len, ESCAPE, ESCAPE_LEN);
}

int key_piece_to_name(const char *piece, size_t len, bool beside_directory, char name[KEY_NAME_MAX + 1])
{
	size_t total = len, pos = 0;
	bool escape = needs_escape(piece, len);

	if (len && memchr(piece, '\0', len))
		return -EILSEQ;
	assert(!len || !memchr(piece, '/', len));
	total += (beside_directory ? OBJECT_LEN : 0) + (escape ? ESCAPE_LEN : 0);
	if (total > KEY_NAME_MAX)
		return -ENAMETOOLONG;
	if (beside_directory) {
		memcpy(name, OBJECT, OBJECT_LEN);
		pos += OBJECT_LEN;
	}
	if (escape) {
		memcpy(name + pos, ESCAPE, ESCAPE_LEN);
		pos += ESCAPE_LEN;
	}
	if (len)
		memcpy(name + pos, piece, len);
	name[total] = '\0';
	return (int)total;
}

int key_name_to_piece(const char *name, char piece[KEY_NAME_MAX + 1], bool *object_only)
{
	size_t len = strlen(name);

	*object_only = false;
	if (len > KEY_NAME_MAX)
		return -ENAMETOOLONG;
	if (memchr(name, '/', len))
		return -EINVAL;
	if (has_prefix(name, len, OBJECT, OBJECT_LEN)) {
		*object_only = true;
		name += OBJECT_LEN;
		len -= OBJECT_LEN;
	}
	if (has_prefix(name, len, ESCAPE, ESCAPE_LEN)) {
		name += ESCAPE_LEN;
		len -= ESCAPE_LEN;
		if (!needs_escape(name, len))
			return -EINVAL; /* nobody escapes a plain piece */
	} else if (!len || is_dots(name, len)) {
		return -EINVAL;
	}
	memcpy(piece, name, len);
	piece[len] = '\0';
	return (int)len;
}

bool key_name_is_temporary(const char *name)
{
	size_t len = strlen(name), i;

	if (name[0] != '.' || len < 1 + 1 + 1 + TEMPORARY_RANDOM)
		return false;
	if (name[len - TEMPORARY_RANDOM - 1] != '.')
		return false;
	for (i = len - TEMPORARY_RANDOM; i < len; i++) {
		if (!isascii((unsigned char)name[i]) || !isalnum((unsigned char)name[i]))
			return false;
	}
	return true;
}
