/* SPDX-License-Identifier: BSD-2-Clause */
#include "store/std_fds.h"

#include <fcntl.h>
#include <unistd.h>

void
std_fds_fill(void)
{
	int fd;

	do
		fd = open("/", O_PATH);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		(void)close(fd);
}
