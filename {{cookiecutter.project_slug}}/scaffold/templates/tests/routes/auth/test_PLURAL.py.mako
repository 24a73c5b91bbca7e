% if r.owner:
"""${r.humans.capitalize()} of a caller who is known."""

from app.core.config import Settings
from tests.auth.accounts import Opener, bearer
from tests.factories import Factory
from tests.routes.test_${r.plural} import new_${r.singular}


async def test_${r.owner.name}_of_${r.singular}_is_the_caller_by_default(
    open_client: Opener, make: Factory, settings: Settings
) -> None:
    user = await make.user()
    client, headers = open_client(), await bearer(make, user, settings)
    other = await new_${r.singular}(make)
    own = {name: value for name, value in other.items() if name != "${r.owner.column}"}

    created = await client.post("${r.path}", json=own, headers=headers)
    refused = await client.post("${r.path}", json=other, headers=headers)
    anonymous = await client.post("${r.path}", json=own)

    assert (created.status_code, created.json()["${r.owner.column}"]) == (201, user.id)
    assert (refused.status_code, anonymous.status_code) == (403, 401)
% endif
