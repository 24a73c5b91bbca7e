"""Names of a resource in texts."""

import pytest

from scaffold.renaming import Names, Renaming


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("a post of posts", "an order of orders"),
        ("A post. Posts:", "An order. Orders:"),
        ("Post {value} not found", "Order {value} not found"),
        ("POST /posts/{post_id:id}", "POST /orders/{order_id:id}"),
        ("await client.post(url)", "await client.post(url)"),
        ('paths["/posts"]["post"]', 'paths["/orders"]["post"]'),
        ("MAX_POST_BYTES, NEW_POST, _POSTS, POSTS", "MAX_ORDER_BYTES, NEW_ORDER, _ORDERS, ORDERS"),
        ("PublicPostServiceDep, PostCreate", "PublicOrderServiceDep, OrderCreate"),
        ("payload.post_id, posts.router", "payload.order_id, orders.router"),
        ("ix_posts_title_id", "ix_orders_title_id"),
        ("posted, poster, postgresql", "posted, poster, postgresql"),
    ],
)
def test_name_of_posts_is_replaced_in_all_its_forms_but_not_the_http_method(
    text: str, renamed: str
) -> None:
    assert Renaming(Names("post", "posts"), Names("order", "orders"))(text) == renamed
