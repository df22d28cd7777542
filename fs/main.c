/* SPDX-License-Identifier: GPL-3.0-or-later */
/* s3bridge: finds the command that is meant. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/cmd_client.h"
#include "fs/cmd_mount.h"
#include "fs/cmd_report.h"
#include "fs/usage.h"
#include "fs/version.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"mount", cmd_mount},     {"wait", cmd_wait},      {"status", cmd_status},
	{"report", cmd_report},   {"unmount", cmd_unmount}, {"umount", cmd_unmount},
};

/* As /sbin/mount.fuse.s3bridge, or as mount.fuse3 runs us: "s3bridge FILE MOUNTPOINT -o ...". */
static int is_mount_helper(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');

	name = name ? name + 1 : argv[0];
	if (strncmp(name, "mount.", 6) == 0)
		return 1;
	return argc >= 3 && argv[1][0] != '-' && (strchr(argv[1], '/') || access(argv[1], F_OK) == 0);
}

static int show_help(const char *command)
{
	fputs(usage_text(command), stdout);
	return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
}

int main(int argc, char **argv)
{
	if (argc < 1)
		return EXIT_USAGE;
	opterr = 0; /* the commands complain in their own words */
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (is_mount_helper(argc, argv))
		return cmd_mount_helper(argc, argv);
	if (argc < 2)
		return complain_usage(NULL, "no command given");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return show_help(argc > 2 ? argv[2] : NULL);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("s3bridge %s\n", PACKAGE_VERSION);
		return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
	}
	return complain_usage(NULL, "unknown %s \"%s\"", argv[1][0] == '-' ? "option" : "command", argv[1]);
}
