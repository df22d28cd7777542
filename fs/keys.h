/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Key <-> name. A key is cut at its slashes; most pieces are names as they are. The pieces that no Linux name can be are
 * escaped, reversibly, so that nothing is hidden and nothing can climb out of the mount:
 *
 *   piece                                       name
 *   ""  (keys with "//", a leading "/")         ".s3%"
 *   "." and ".."                                ".s3%." and ".s3%.."
 *   one that begins with ".s3%" itself          ".s3%" + the piece
 *   an object "a" beside objects "a/..."        ".s3%=a"   (the directory keeps the plain name)
 *
 * A name ".s3%=NAME" always means the object, whatever else is there. */
#ifndef S3B_FS_KEYS_H
#define S3B_FS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define KEY_NAME_MAX 255
#define KEY_MAX_BYTES 1024 /* UTF-8 bytes of a key: S3 API, "Naming Amazon S3 objects" */

/* A directory's marker, or a directory itself. */
static inline bool key_is_directory(const char *key)
{
	size_t len = strlen(key);

	return len && key[len - 1] == '/';
}

/* The name of PIECE (LEN bytes, without slash). BESIDE_DIRECTORY: it is an object and a directory has that name too.
 * Returns the name's length, or -ENAMETOOLONG when it has more than KEY_NAME_MAX bytes, or -EILSEQ for a piece holding a NUL. */
int key_piece_to_name(const char *piece, size_t len, bool beside_directory, char name[KEY_NAME_MAX + 1]);

/* The piece that NAME stands for. *OBJECT_ONLY: the ".s3%=" form. Returns its length, or -EINVAL for a name that no
 * piece has (an escape that would not be made). */
int key_name_to_piece(const char *name, char piece[KEY_NAME_MAX + 1], bool *object_only);

/* Is NAME one that a program gives a file before it renames it: rsync's .NAME.XXXXXX. */
bool key_name_is_temporary(const char *name);

#endif
