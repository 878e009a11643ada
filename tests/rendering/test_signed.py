"""A trained signed distance as a mesh, pictures and queries, without a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.errors import InputError
from jaxvsnerf.fields.sdf import SdfSpec, SurfaceSpec
from jaxvsnerf.geometry.cameras import take
from jaxvsnerf.rendering.grid import init_grid
from jaxvsnerf.rendering.sampling import GridLevel
from jaxvsnerf.rendering.trained import TrainedField
from jaxvsnerf.run.surface import field_mesh
from jaxvsnerf.view.look import look_at_field, shown_of
from tests import tiny as t

pytestmark = pytest.mark.unoptimized


@pytest.fixture(scope="module")
def field():
    """A random surface, sharp."""
    built = t.make_field(decoder=SdfSpec(1, surface=SurfaceSpec(radius=0.25, sharpness=300.0)))
    views = t.make_views()
    return TrainedField(
        field=built,
        params=jax.jit(lambda key: built.init(key, 1))(jax.random.key(3)),
        grid=init_grid(np.ones((16,) * 3), 5.0, 0.6),
        context=t.make_scene(views).context,
        cameras=views.cameras,
        background=np.ones(3, np.float32),
        levels=(GridLevel(24, 48),),
        mode="single",
    )


def test_the_mesh_is_the_zero_set_with_the_fields_normals(field):
    made = field_mesh(field, 0.0, 32)
    assert made.level == 0.0 and len(made.mesh.faces) > 100
    inside = np.abs(made.mesh.vertices).max(-1) < 0.55  # away from the cube's border
    points = made.mesh.vertices[inside]
    # Marching cubes is linear between the lattice's points.
    distance = np.abs(field.surface(points)) / (1.2 / 31)
    assert np.median(distance) < 0.02 and distance.max() < 0.25
    np.testing.assert_allclose(made.mesh.normals[inside], field.normals(points), atol=1e-6)
    # Outward: the distance grows along the normal.
    assert np.mean(field.surface(points + 0.02 * field.normals(points)) < 0.0) > 0.99
    with pytest.raises(InputError, match="level: the surface of a signed distance lies at"):
        field_mesh(field, 3.0, 16)


def test_pictures_show_normals_and_queries_need_no_direction(field):
    camera = take(field.cameras, [0])
    picture = field.render(camera)
    opaque = picture.acc[0] > 0.9
    assert opaque.any() and picture.extras["normal"].shape == (1, t.SIZE, t.SIZE, 3)
    length = np.linalg.norm(picture.extras["normal"][0][opaque], axis=-1)
    assert np.median(length) == pytest.approx(1.0, abs=0.1)
    assert "normals" in shown_of(field)
    shown, _ = look_at_field(field, "single", "normals", camera)
    assert np.all(shown[picture.acc[0] == 0] == 1) and shown[opaque].std() > 0.05
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (50, 3)).astype(np.float32)
    density, _ = field.query(points)
    directed, _ = field.query(points, np.tile(np.float32([0, 0, 1]), (50, 1)))
    np.testing.assert_allclose(directed, density, rtol=1e-5)
    assert density.max() > 100 and np.all(jnp.isfinite(density))
