"""The models, one file per paper. `MODELS` maps the public name of each to its class."""

from tfgen.models.adversarial.dcgan import DCGAN
from tfgen.models.adversarial.ebgan import EBGAN
from tfgen.models.adversarial.gan import GAN
from tfgen.models.adversarial.improved_gan import ImprovedGAN
from tfgen.models.adversarial.infogan import InfoGAN
from tfgen.models.adversarial.sngan import SNGAN
from tfgen.models.adversarial.wgan import WGAN
from tfgen.models.adversarial.wgan_gp import WGANGP
from tfgen.models.autoencoders.vae import VAE
from tfgen.models.autoregressive.gated_pixel_cnn import GatedPixelCNN
from tfgen.models.autoregressive.multi_scale_pixel_rnn import MultiScalePixelRNN
from tfgen.models.autoregressive.pixel_cnn import PixelCNN
from tfgen.models.autoregressive.pixel_cnn_autoencoder import PixelCNNAutoencoder
from tfgen.models.autoregressive.pixel_cnn_pp import PixelCNNPP
from tfgen.models.autoregressive.pixel_rnn import PixelRNN
from tfgen.models.base import GenerativeModel

MODELS = {
    cls.__name__: cls for cls in (
        VAE, GAN, DCGAN, EBGAN, ImprovedGAN, InfoGAN, SNGAN, WGAN, WGANGP, PixelCNN, GatedPixelCNN, PixelCNNAutoencoder,
        PixelRNN, MultiScalePixelRNN, PixelCNNPP,
    )
}  # fmt: skip

__all__ = ["MODELS", "GenerativeModel", *MODELS]
