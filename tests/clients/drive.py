"""Drives a running service by its generated Python client: `python drive.py URL ADDRESS PASSWORD`.

The client is on the path. Prints what was seen, as JSON.
"""

import json
import re
import sys

from demo_service_client import AuthenticatedClient, Client
from demo_service_client.api.auth import create_token
from demo_service_client.api.posts import create_post, list_posts, update_post
from demo_service_client.api.users import create_user
from demo_service_client.models import (
    PagePostWithLikes,
    PostCreate,
    PostPatch,
    PostResponse,
    Problem,
    TokenRequest,
    TokenResponse,
    UserCreate,
)

url, address, password = sys.argv[1:]
seen = {}

tokens = create_token.sync(
    client=Client(url), body=TokenRequest(username=address, password=password)
)
assert isinstance(tokens, TokenResponse), tokens
client = AuthenticatedClient(url, token=tokens.access_token)

created = create_post.sync_detailed(
    client=client, body=PostCreate(title="By a client", body="Text"), idempotency_key="one"
)
assert isinstance(created.parsed, PostResponse), created
create_post.sync(client=client, body=PostCreate(title="Another", body="Text"))
again = create_post.sync_detailed(
    client=client, body=PostCreate(title="By a client", body="Text"), idempotency_key="one"
)
seen["created"] = [created.parsed.title, again.parsed == created.parsed]

page = list_posts.sync_detailed(client=client, limit=1)
assert isinstance(page.parsed, PagePostWithLikes), page
link = re.fullmatch('<(.+)>; rel="next"', page.headers["link"])
assert link
following = PagePostWithLikes.from_dict(client.get_httpx_client().get(link[1]).json())
by_cursor = list_posts.sync(client=client, limit=1, cursor=page.parsed.next_cursor)
seen["pages"] = [
    page.parsed.items[0].title,
    following.items[0].title,
    by_cursor == following,
]

statuses = []
for title in ("Changed", "Changed by somebody else"):
    patched = update_post.sync_detailed(
        created.parsed.id,
        client=client,
        body=PostPatch(title=title),
        if_match=created.headers["etag"],
    )
    statuses.append(int(patched.status_code))
assert isinstance(patched.parsed, Problem), patched
seen["patched"] = [*statuses, patched.parsed.code.value]

taken = create_user.sync(
    client=client,
    body=UserCreate(email=address, display_name="Ada", password=password),
)
assert isinstance(taken, Problem), taken
seen["conflict"] = [taken.status, taken.code.name, taken.detail]

json.dump(seen, sys.stdout)
