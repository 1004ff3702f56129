/*
 * get ADDRESS PATH: asks HOST:PORT by HTTP and prints the answer's body; what went wrong goes to
 * standard error. Exit status: 0 for status 200, 1 for another, which is printed too, 2 when
 * nobody answers.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static char text[4 << 20];

static int dial(const char *address)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const struct timeval patience = {20, 0};
    char host[256];
    struct addrinfo *list;
    int fd;

    snprintf(host, sizeof host, "%s", address);
    if (!strrchr(host, ':'))
        return -1;
    *strrchr(host, ':') = '\0';
    if (getaddrinfo(host, strrchr(address, ':') + 1, &hints, &list) != 0)
        return -1;
    fd = socket(list->ai_family, list->ai_socktype, list->ai_protocol);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) < 0) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    return fd;
}

int main(int argc, char **argv)
{
    const int fd = argc == 3 ? dial(argv[1]) : -1;
    const char *body;
    char request[256];
    size_t len = 0;
    ssize_t n;

    if (fd < 0) {
        fprintf(stderr, "get: %s does not answer\n", argc == 3 ? argv[1] : "nobody");
        return 2;
    }
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
             argv[2]);
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
        return 2;
    while ((n = recv(fd, text + len, sizeof text - 1 - len, 0)) > 0)
        len += (size_t)n;
    close(fd);
    body = strstr(text, "\r\n\r\n");
    if (!body)
        return 2;
    (void)!write(STDOUT_FILENO, body + 4, len - (size_t)(body + 4 - text));
    if (strncmp(text, "HTTP/1.1 200 ", 13) == 0)
        return 0;
    printf("status %.3s\n", text + 9);
    return 1;
}
