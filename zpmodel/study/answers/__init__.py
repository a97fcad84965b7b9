"""The eleven questions that the kernel's reviewers asked, each answered with a number, its interval and its limits."""
