/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon's correspondent. */
#include "fs/client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/control.h"
#include "fs/mounts.h"
#include "fs/usage.h"
#include "s3/base/cleanup.h"
#include "s3/base/strbuf.h"

#define READ_BYTES       ((size_t)64 * 1024)
#define ANSWER_MAX_BYTES ((size_t)64 << 20)

void client_clear(struct client *c)
{
	free(c->mountpoint);
	free(c->path);
	*c = (struct client){0};
}

static bool is_climbing(const char *component)
{
	size_t len = strcspn(component, "/");

	return (len == 1 && component[0] == '.') || (len == 2 && component[0] == '.' && component[1] == '.');
}

/* PATH with the nearest of its directories that exists resolved, and the rest as it stands: a symlink has changes of
 * its own, and a file that is gone still may. NULL when the rest climbs. */
static char *resolve_parents(const char *path)
{
	CLEANUP_FREE char *full = NULL, *dir = NULL;
	char cwd[PATH_MAX], *out = NULL;
	const char *rest = NULL;
	size_t cut;

	if (path[0] == '/')
		full = strdup(path);
	else if (!getcwd(cwd, sizeof(cwd)) || asprintf(&full, "%s/%s", cwd, path) < 0)
		full = NULL;
	if (!full)
		return NULL;
	for (size_t len = strlen(full); len > 1 && full[len - 1] == '/';)
		full[--len] = '\0';
	cut = strlen(full);
	while (!dir) {
		do
			cut--;
		while (full[cut] != '/');
		rest = full + cut + 1;
		if (is_climbing(rest))
			return NULL;
		full[cut] = '\0';
		dir = realpath(cut ? full : "/", NULL);
		if (!dir)
			full[cut] = '/';
	}
	if (asprintf(&out, "%s/%s", strcmp(dir, "/") ? dir : "", rest) < 0)
		out = NULL;
	return out;
}

/* Takes RESOLVED, which may be NULL. */
static bool is_in_mount(char *resolved, struct client *out)
{
	CLEANUP_FREE char *path = resolved;
	CLEANUP_MOUNT struct mount m = {0};
	const char *inner;

	if (!path || !mounts_of(path, &m) || strcmp(m.type, MOUNTS_TYPE))
		return false;
	inner = path + strlen(m.point);
	out->path = strdup(*inner ? inner : "/");
	out->mountpoint = m.point;
	m.point = NULL;
	return out->path;
}

bool client_find(const char *path, struct client *out)
{
	if (is_in_mount(resolve_parents(path), out) || is_in_mount(realpath(path, NULL), out))
		return true;
	client_clear(out);
	complain("%s is not inside an s3bridge mount", path);
	return false;
}

static int open_file(const char *mountpoint, const char *name, int flags)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/" CONTROL_DIR "/%s", mountpoint, name) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(path, flags | O_CLOEXEC);
}

static json_t *read_json(int fd)
{
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
	CLEANUP_FREE char *buf = malloc(READ_BYTES);
	ssize_t len;
	json_t *answer;

	while (buf && (len = pread(fd, buf, READ_BYTES, (off_t)text.len)) != 0) {
		if (len < 0)
			return NULL;
		strbuf_add(&text, buf, (size_t)len);
		if (text.failed || text.len > ANSWER_MAX_BYTES)
			break;
	}
	if (!buf || text.failed) {
		errno = ENOMEM;
		return NULL;
	}
	answer = json_loadb(text.data ? text.data : "", text.len, 0, NULL);
	if (!answer)
		errno = EPROTO;
	return answer;
}

json_t *client_status(const char *mountpoint)
{
	CLEANUP_CLOSE int fd = open_file(mountpoint, "status.json", O_RDONLY);

	return fd < 0 ? NULL : read_json(fd);
}

json_t *client_report(const char *mountpoint)
{
	CLEANUP_CLOSE int fd = open_file(mountpoint, "report.json", O_RDONLY);

	return fd < 0 ? NULL : read_json(fd);
}

json_t *client_answer(int fd)
{
	json_t *answer = read_json(fd), *changes = json_object_get(answer, "changes");

	if (!changes)
		return answer;
	json_incref(changes); /* a whole status: see client_wait */
	json_decref(answer);
	return changes;
}

int client_wait(const char *mountpoint, const char *path)
{
	CLEANUP_FREE char *line = NULL;
	int err, fd = open_file(mountpoint, "control", O_RDWR);
	ssize_t len;

	/* Nothing can be written to a read-only mount, not even a command; but there is nothing to wait for either. */
	if (fd < 0 && errno == EROFS)
		return open_file(mountpoint, "status.json", O_RDONLY);
	if (fd < 0)
		return -1;
	len = asprintf(&line, "wait %s\n", path);
	if (len > 0 && write(fd, line, (size_t)len) == len)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

void client_complain(const char *mountpoint, int err)
{
	if (err == ENOTCONN || err == ECONNABORTED)
		complain("the daemon of %s is gone: run \"s3bridge unmount %s\", then mount again", mountpoint,
			 mountpoint);
	else if (err == EACCES || err == EPERM)
		complain("only the user who mounted %s may ask its daemon", mountpoint);
	else if (err == EPROTO)
		complain("the daemon of %s gave an answer that makes no sense: is it another version?", mountpoint);
	else
		complain("cannot talk to the daemon of %s: %s", mountpoint, strerror(err));
}
