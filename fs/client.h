/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the commands find a mount and talk to its daemon: through the files in MOUNTPOINT/.s3bridge. */
#ifndef S3B_FS_CLIENT_H
#define S3B_FS_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

struct client {
	char *mountpoint; /* owned */
	char *path;       /* what was asked for, as the mount sees it: "/" is the mount point; owned */
};
void client_clear(struct client *c);
#define CLEANUP_CLIENT __attribute__((cleanup(client_clear)))

/* Finds the s3bridge mount that PATH lies in (PATH need not exist). False after complaining. */
bool client_find(const char *path, struct client *out);

/* The daemon's status. NULL with errno: ENOTCONN when the daemon is gone. */
json_t *client_status(const char *mountpoint);

/* The history of its run (fs/report_data.h). NULL with errno likewise; ENOENT: a version that writes none. */
json_t *client_report(const char *mountpoint);

/* Asks the daemon to finish what is below PATH. A descriptor for client_answer, or -1 with errno. */
int client_wait(const char *mountpoint, const char *path);

/* The answer, once it is there. NULL with errno; EINTR when a signal came first: ask again if you like. */
json_t *client_answer(int fd);

/* Complains about an error of the calls above. */
void client_complain(const char *mountpoint, int err);

#endif
