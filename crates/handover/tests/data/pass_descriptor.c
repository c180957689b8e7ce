/* A carrier that knows nothing of handover: one descriptor comes in on standard input and goes out on standard output. */
#include <string.h>
#include <sys/socket.h>

int main(void)
{
    char byte = 0, room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {0};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = room;
    message.msg_controllen = sizeof room;
    while (recvmsg(0, &message, 0) == 1) {
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        if (!rights || rights->cmsg_type != SCM_RIGHTS || sendmsg(1, &message, 0) != 1)
            return 1;
    }
    return 0;
}
