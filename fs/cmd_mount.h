/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "s3bridge mount", and the same asked for by mount(8). Each returns an exit code. */
#ifndef S3B_FS_CMD_MOUNT_H
#define S3B_FS_CMD_MOUNT_H

/* ARGV[0] is "mount". */
int cmd_mount(int argc, char **argv);

/* As mount(8) calls a helper: FILE MOUNTPOINT [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]; NAME=s3://... is fine
 * for FILE. */
int cmd_mount_helper(int argc, char **argv);

#endif
